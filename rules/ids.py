"""The keys of decisions and of their actions.

Owns the recipe, which anyone can repeat with SHA-256 alone. Must not know what an occasion's id is made of.
"""

from __future__ import annotations

from hashlib import sha256
from struct import Struct
from typing import Final

_LENGTH: Final = Struct(">I").pack


def part(text: str) -> bytes:
    """One part of what is hashed: the text in UTF-8, its length before it (4 bytes, big-endian)."""
    encoded = text.encode()
    return _LENGTH(len(encoded)) + encoded


def hashed(parts: bytes) -> str:
    """The first 16 bytes, in hex, of SHA-256 over parts that were put together before."""
    return sha256(parts).hexdigest()[:32]


def h(*parts: str) -> str:
    """The first 16 bytes, in hex, of SHA-256 over the parts: each in UTF-8, its length before it.

    >>> h("ab", "c") == h("a", "bc")
    False
    >>> len(h("x"))
    32
    """
    joined = b""
    for text in parts:  # as `part` does; a call for each would take a third longer
        encoded = text.encode()
        joined += _LENGTH(len(encoded)) + encoded
    return sha256(joined).hexdigest()[:32]


def action_key(decision_key: str, n: int) -> str:
    """The key of the delivery that the n-th action of a decision makes. `n` counts from 0.

    >>> action_key("k", 0) == h("k", "0")
    True
    """
    return h(decision_key, str(n))
