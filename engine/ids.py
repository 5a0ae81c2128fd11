"""Ids of episodes and of the instants of a person's timer, and how instants are written out.

Owns what they are made of; `rules/ids.py` has the recipe. Must not know what the ids are for.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from rules.ids import h

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def episode_id(device: str, place: str, entered_ms: int) -> str:
    """The id of a stay: from entered to exited."""
    return h(device, place, str(entered_ms))


def instant(time_ms: int) -> str:
    """An instant as RFC 3339, UTC, in milliseconds.

    >>> instant(1795593600120)
    '2026-11-25T08:00:00.120Z'
    """
    seconds, ms = divmod(time_ms, 1000)
    return f"{_to_seconds(seconds)}.{ms:03d}Z"


@lru_cache(maxsize=4096)
def _to_seconds(seconds: int) -> str:
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}"
