"""Where a file is written: on the event loop itself while its disk is quick, else in one thread beside it.

Owns that choice. Must not know what is written. A write of 0.2 ms costs less than the two changes of thread that would
keep it off the loop, each of which may wait for the interpreter: with a thread, half of all processor time of small
requests went into them, and the slowest answers came five times later. A disk that takes milliseconds would hold up
everything else, so there the thread is worth its price. What comes meanwhile gathers for the next write either way.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.clock import Clock

#: A write that takes longer than this, on average, goes to the thread; one that takes less than half of it comes back.
SLOW_S: Final = 0.003
#: How much the newest write counts in the average.
_WEIGHT: Final = 0.05


class Writing:
    """Makes writes one after the other; the caller awaits each before the next."""

    def __init__(self, clock: Clock) -> None:
        self._now_s = clock.monotonic_s
        self._usual_s = 0.0
        self._beside = False
        self._thread = ThreadPoolExecutor(1, "writing")

    @property
    def beside(self) -> bool:
        """True while writes are made in the thread."""
        return self._beside

    async def call(self, write: Callable[..., None], *args: object) -> None:
        """Make one write. What it raises is raised here."""
        began_s = self._now_s()
        try:
            if self._beside:
                await asyncio.get_running_loop().run_in_executor(self._thread, write, *args)
            else:
                write(*args)
        finally:
            self._learn(self._now_s() - began_s)

    def _learn(self, spent_s: float) -> None:
        self._usual_s += _WEIGHT * (spent_s - self._usual_s)
        self._beside = self._usual_s > (SLOW_S / 2 if self._beside else SLOW_S)

    def close(self) -> None:
        """No more writes will come."""
        self._thread.shutdown()
