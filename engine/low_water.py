"""How far a partition is done, when its records are done in any order.

Owns the low-water mark: below it everything is done. Must not know what a record is.
"""

from __future__ import annotations

from heapq import heappop, heappush


class LowWater:
    """One partition's mark.

    >>> mark = LowWater()
    >>> for offset in (5, 6, 7):
    ...     mark.begin(offset)
    >>> mark.end(6)
    >>> mark.next_offset
    5
    >>> mark.end(5)
    >>> mark.next_offset
    7
    """

    def __init__(self) -> None:
        self._open: list[int] = []
        self._ended: set[int] = set()
        self._last = -1

    @property
    def next_offset(self) -> int | None:
        """The oldest record that is not done, else the one after the last; None before the first."""
        while self._open and self._open[0] in self._ended:
            self._ended.discard(heappop(self._open))
        if self._open:
            return self._open[0]
        return self._last + 1 if self._last >= 0 else None

    def begin(self, offset: int) -> None:
        """A record is taken up."""
        heappush(self._open, offset)
        self._last = max(self._last, offset)

    def end(self, offset: int) -> None:
        """A record is done."""
        self._ended.add(offset)
