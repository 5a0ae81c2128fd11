"""What every law shares: the words of a failure, and the recipe of ids, written anew from the contract."""

from __future__ import annotations

import hashlib


class LawError(AssertionError):
    """A law was broken: which, and by what."""


def hold(good: bool, law: str, *seen: object) -> None:
    """Fail with the law's words and what was seen, unless it holds."""
    if not good:
        raise LawError(f"{law}: " + ", ".join(map(str, seen)))


def digest(*parts: str) -> str:
    """The contract's h: 16 bytes, in hex, of SHA-256 over the parts, each UTF-8 with its length before it."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode()
        sha.update(len(data).to_bytes(4, "big") + data)
    return sha.hexdigest()[:32]
