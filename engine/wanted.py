"""Which of what was told a rule may act on: few, where most places are named by none.

Owns what was found out of each place, once. Must not know rules: it is told which kinds of transitions they ask for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.kernel import kernel
from engine.layout import WITH, Array, wide

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.told import Telling
    from rules.place import Place

#: Nobody has asked yet which kinds of transitions at a place have rules; or they are being asked for just now.
_UNASKED, _ASKED = 255, 254


class Wanted:
    """Under one site. `kinds_at` has the kinds of transitions at a place that have rules, as bits by their numbers."""

    def __init__(self, kinds_at: Callable[[Place], int]) -> None:
        self._kinds_at = kinds_at
        self._places: Sequence[Place] = ()
        self._kinds = np.zeros(0, np.uint8)

    def of(self, telling: Telling) -> list[int]:
        """The records of transitions that a rule may act on, ascending.

        Raises `ValueError` when they tell of places that are not there.
        """
        if telling.places is not self._places:
            self._places, self._kinds = telling.places, np.full(len(telling.places), _UNASKED, np.uint8)
        records = telling.records
        found = np.empty(records.size, np.int64)
        count, unasked = find(records, self._kinds, found)
        if count < 0:
            self._places, self._kinds = (), np.zeros(0, np.uint8)  # some may be marked, and were not asked for
            raise ValueError("what was told is of another site")
        if unasked:
            for number in found[:unasked].tolist():
                self._kinds[number] = self._kinds_at(telling.places[number])
            count, _ = find(records, self._kinds, found)
        wanted: list[int] = found[:count].tolist()
        return wanted


@kernel
def find(records: Array, kinds: Array, found: Array) -> tuple[int, int]:
    """Put the records wanted into `found`; or, where nobody has asked of some of their places, these, each once.

    Returns how many of the one, -1 when a place is not there, and how many of the other.
    """
    count, unasked = 0, 0
    for at in range(records.size):
        record = records[at]
        if record.kind <= WITH:
            continue
        place = wide(record.place)
        if place < 0 or place >= kinds.size:
            return -1, 0
        if kinds[place] == _UNASKED:
            kinds[place], found[unasked] = _ASKED, place
            unasked += 1
        elif unasked == 0:
            found[count] = at
            count += wide(kinds[place]) >> wide(record.kind) & 1
    return count, unasked
