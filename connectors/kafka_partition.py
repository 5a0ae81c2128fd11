"""The partition of a key, as Kafka's Java clients choose it, so that others may write beside us.

Owns the choice, and remembering it: a device is asked for with each of its pings. Must not know what keys mean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from aiokafka.partitioner import murmur2

#: Devices whose partition is remembered; some 150 bytes each.
_KEYS_MAX: Final = 1 << 18


class Partitions:
    """The partitions of one topic.

    >>> Partitions(12).of("d-42")
    6
    """

    def __init__(self, count: int) -> None:
        self.count = count
        self.of = lru_cache(_KEYS_MAX)(self._of)

    def _of(self, key: str) -> int:
        number: int = murmur2(key.encode())
        return (number & 0x7FFFFFFF) % self.count
