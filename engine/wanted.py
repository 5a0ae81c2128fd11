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

#: Nobody has asked yet which kinds of transitions at a place have rules.
_UNASKED = 255


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
        count = find(records, self._kinds, found)
        if count < 0:
            self._ask(telling)
            count = find(records, self._kinds, found)
        wanted: list[int] = found[:count].tolist()
        return wanted

    def _ask(self, telling: Telling) -> None:
        """Find out of the places that were never told of before."""
        places = telling.records["place"][telling.records["kind"] > WITH]
        if places.min() < 0 or places.max() >= self._kinds.size:
            raise ValueError("what was told is of another site")
        for number in np.unique(places[self._kinds[places] == _UNASKED]).tolist():
            self._kinds[number] = self._kinds_at(telling.places[number])


@kernel
def find(records: Array, kinds: Array, found: Array) -> int:
    """Put the records wanted into `found`; returns how many, or -1 where nobody has asked of the place of one."""
    count = 0
    for at in range(records.size):
        record = records[at]
        if record.kind <= WITH:
            continue
        if record.place < 0 or record.place >= kinds.size or kinds[record.place] == _UNASKED:
            return -1
        found[count] = at
        count += wide(kinds[record.place]) >> wide(record.kind) & 1
    return count
