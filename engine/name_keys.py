"""The first letters of devices' names as numbers that come in the same order: what is told is put in order by them.

Owns these numbers, by slot. Must not know what is put in order. Names that share their first letters have one number:
whoever asks looks at the names themselves then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.layout import Array

#: UTF-8 comes in the order of its letters, byte by byte.
_BYTES: Final = 16
_UNKNOWN: Final = 0


class NameKeys:
    """By slot; made of a name when its slot is first asked for."""

    def __init__(self) -> None:
        self._keys = np.zeros((0, 2), np.uint64)

    def of(self, slots: Array, names: Sequence[str]) -> Array:
        """The more and the less significant number of each slot's name, uint64[slots, 2]; `names` are of all slots.

        >>> high, low = NameKeys().of(np.array([0, 1, 2]), ["b", "a", "a phone of a long name"]).T
        >>> bool(high[1] < high[2] < high[0]), low.tolist()[:2]
        (True, [0, 0])
        """
        if len(names) > len(self._keys):
            longer = np.zeros((len(names) + len(names) // 2, 2), np.uint64)
            longer[: len(self._keys)] = self._keys
            self._keys = longer
        keys = self._keys[slots]
        if (keys[:, 0] == _UNKNOWN).any():
            new = slots[keys[:, 0] == _UNKNOWN]  # one of them may come several times
            letters = b"".join([_first(names[slot]) for slot in new.tolist()])
            self._keys[new] = np.frombuffer(letters, ">u8").reshape(-1, 2)
            keys = self._keys[slots]
        return keys

    def forget(self, slot: int) -> None:
        """The slot will be another device's."""
        if slot < len(self._keys):
            self._keys[slot] = _UNKNOWN


def _first(name: str) -> bytes:
    return name.encode()[:_BYTES].ljust(_BYTES, b"\0")
