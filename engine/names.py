"""Names by number: of devices, users and beacons, in a hash table that kernels read and write.

Owns the table's arrays and how they grow, and the names as texts. Must not know what a name is the name of; but for
beacons, which have a normal form.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.ping import heard_beacon
from engine.scan_packed import scan_packed
from engine.scan_values import code_of, enter
from engine.wire import NONE

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

#: What stands for the number of a beacon that is none.
NO_BEACON = -2


class Names:
    """The names met so far, each once, by number. `strings` only grows."""

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.letters = 0
        """How many bytes they have together."""
        self._slots = np.full(1, -1, np.int32)
        self._letters, self._starts = np.empty(64, np.uint8), np.zeros(64, np.int64)
        self._count = np.zeros(1, np.int64)
        self._normal: dict[int, int] = {NONE: NONE}

    def room(self, more: int, letters: int) -> tuple[Array, Array, Array, Array]:
        """What a kernel takes: with room for so many more names, of so many letters together."""
        count = len(self.strings)
        if self.letters + letters > self._letters.size:
            self._letters = np.resize(self._letters, 2 * (self.letters + letters))
        if count + more + 1 > self._starts.size:
            self._starts = np.resize(self._starts, 2 * (count + more + 1))
        if 2 * (count + more) > self._slots.size:
            self._slots = np.full(1 << (2 * (count + more)).bit_length(), -1, np.int32)
            enter(self._slots, self._letters, self._starts, self._count)
        return self._slots, self._letters, self._starts, self._count

    def grown(self) -> None:
        """Take in the names that a kernel met for the first time."""
        first, count = len(self.strings), self._count.item()
        if first == count:
            return
        ends = self._starts[first : count + 1].tolist()
        letters = self._letters[ends[0] : ends[-1]].tobytes()
        self.strings += [
            letters[start - ends[0] : end - ends[0]].decode(errors="replace") for start, end in pairwise(ends)
        ]
        self.letters = ends[-1]

    def normal_beacons(self, codes: Array) -> Array:
        """The numbers of beacons in their normal form, for those as they were written."""
        if codes.max(initial=NONE) == NONE:  # most hear none
            return codes
        heard = np.unique(codes).tolist()
        for code in heard:
            if code not in self._normal:
                normal = heard_beacon(self.strings[code])
                self._normal[code] = NO_BEACON if normal is None else self._number(normal)
        normals = np.array([self._normal[code] for code in heard], np.int32)
        return normals[np.searchsorted(heard, codes)]

    def packed(self, lists: bytes, count: int) -> Array | None:
        """The numbers of the `count` names in lists of texts, one after the other, as MessagePack has them.

        None if they cannot be found out here: then they are to be read one by one.
        """
        numbers = np.empty(count, np.int32)
        data = np.frombuffer(lists, np.uint8)
        found = scan_packed(data, numbers, *self.room(count, data.size))
        self.grown()
        return numbers if found else None

    def _number(self, name: str) -> int:
        data = np.frombuffer(name.encode(), np.uint8)
        number = int(code_of(data, *self.room(1, data.size)))
        self.grown()
        return number if number >= 0 else NO_BEACON


def is_utf8(text: bytes) -> bool:
    """Whether all of a text can be names: kernels do not look.

    >>> is_utf8("é".encode()), is_utf8("é".encode("latin-1"))
    (True, False)
    """
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False
