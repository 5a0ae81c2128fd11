"""From the numbers that a batch has for names to the engine's own.

Owns what was asked of a batch's table of names once. Must not know what the names are of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.devices import enough, longer
from engine.kernel import kernel
from engine.layout import NONE, Array

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_NUMBERS = np.zeros(0, np.int32)


class OwnNumbers:
    """Of devices, or of users. Batches of a recording share one table, which only grows: it is asked once a name."""

    def __init__(self) -> None:
        self._strings: list[str] = []
        self._table = _NO_NUMBERS

    def of(self, column: Array, strings: list[str], numbers: Callable[[list[str]], Array]) -> Array:
        """The engine's numbers of a column of numbers of `strings`, int32; `NONE` stays. `numbers` has those of names.

        >>> of = OwnNumbers().of
        >>> of(np.array([1, -1, 1], np.int32), ["a", "b"], lambda names: np.array([len(names) + 6], np.int32)).tolist()
        [7, -1, 7]
        """
        count = len(strings)  # whoever reads ahead may make it longer at any time
        if strings is not self._strings:
            self._strings, self._table = strings, _NO_NUMBERS
        found = np.empty(column.size, np.int32)
        if look_up(column, self._table, found):
            new = np.unique(column[(found == NONE) & (column != NONE)])
            if count > self._table.size:
                self._table = longer(self._table, enough(self._table.size, count), NONE)
            self._table[new] = numbers(strings[:count] if new.size == count else [strings[n] for n in new.tolist()])
            look_up(column, self._table, found)
        return found


@kernel
def look_up(column: Array, table: Array, found: Array) -> bool:
    """Fill `found` with what the table says of a column, NONE where it says nothing; True if it should have."""
    missed = False
    for k in range(column.size):
        number = column[k]
        found[k] = NONE
        if number >= table.size:
            missed = True
        elif number != NONE:
            found[k] = table[number]
            missed |= found[k] == NONE
    return missed
