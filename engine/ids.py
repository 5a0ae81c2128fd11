"""Deterministic ids of episodes, transitions and occasions, and how instants are written out.

Owns the recipe: the same input always makes the same id, in any process. Must not know what the ids are for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def h(*parts: str) -> str:
    """The first 16 bytes, in hex, of SHA-256 over the parts, each in UTF-8 with its length before it.

    The length is four bytes, big-endian, so that no two lists of parts run into the same bytes.

    >>> h("ab", "c") == h("a", "bc")
    False
    >>> len(h("x"))
    32
    """
    digest = sha256()
    for part in parts:
        data = part.encode()
        digest.update(len(data).to_bytes(4, "big"))
        digest.update(data)
    return digest.hexdigest()[:32]


def episode_id(device: str, place: str, entered_ms: int) -> str:
    """The id of a stay: from entered to exited."""
    return h(device, place, str(entered_ms))


def instant(time_ms: int) -> str:
    """An instant as RFC 3339, UTC, in milliseconds.

    >>> instant(1795593600120)
    '2026-11-25T08:00:00.120Z'
    """
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"
