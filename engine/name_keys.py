"""The first letters of devices' names as numbers that come in the same order: what is told is put in order by them.

Owns these numbers, by slot. Must not know what is put in order. Names that share their first letters have one number:
whoever asks looks at the names themselves then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from engine.kernel import kernel
from engine.layout import Array, wide

if TYPE_CHECKING:
    from collections.abc import Sequence

#: UTF-8 comes in the order of its letters, byte by byte.
_BYTES: Final = 16
_UNKNOWN: Final = 0


class NameKeys:
    """By slot; made of a name when its slot is first asked for."""

    def __init__(self) -> None:
        self._keys = np.zeros((0, 2), np.uint64)

    def of(self, records: Array, names: Sequence[str]) -> Array:
        """The more and the less significant number of the name of each record's slot, uint64[records, 2].

        `records` are of `layout.TOLD`, `names` those of all slots.

        >>> from engine.layout import TOLD
        >>> records = np.zeros(3, TOLD)
        >>> records["slot"] = [0, 1, 2]
        >>> high, low = NameKeys().of(records, ["b", "a", "a phone of a long name"]).T
        >>> bool(high[1] < high[2] < high[0]), low.tolist()[:2]
        (True, [0, 0])
        """
        if len(names) > len(self._keys):
            longer = np.zeros((len(names) + len(names) // 2, 2), np.uint64)
            longer[: len(self._keys)] = self._keys
            self._keys = longer
        keys = np.empty((records.size, 2), np.uint64)
        if look_up(self._keys, records, keys):
            new = records["slot"][keys[:, 0] == _UNKNOWN]  # one of them may come several times
            letters = b"".join([_first(names[slot]) for slot in new.tolist()])
            self._keys[new] = np.frombuffer(letters, ">u8").reshape(-1, 2)
            look_up(self._keys, records, keys)
        return keys

    def forget(self, slot: int) -> None:
        """The slot will be another device's."""
        if slot < len(self._keys):
            self._keys[slot] = _UNKNOWN


@kernel
def look_up(table: Array, records: Array, keys: Array) -> bool:
    """Fill `keys` with those of the records' slots; True if one of them was never asked for."""
    missed = False
    for k in range(records.size):
        slot = wide(records[k].slot)
        keys[k, 0], keys[k, 1] = table[slot, 0], table[slot, 1]
        missed |= table[slot, 0] == _UNKNOWN
    return missed


def _first(name: str) -> bytes:
    return name.encode()[:_BYTES].ljust(_BYTES, b"\0")
