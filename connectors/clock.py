"""The clock: the one place in the project that asks what time it is.

Owns wall time (epoch milliseconds, UTC) and the steady clock for durations. Must not know who asks. All others are
given a `Clock`, so that tests and the demo may put theirs in its place.
"""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is, and how much of it passes."""

    def now_ms(self) -> int:
        """The wall's time, in epoch milliseconds. May jump, when somebody sets the machine's clock."""

    def exact_ms(self) -> float:
        """The same with its fraction: for durations between parts that pass instants on."""

    def monotonic_s(self) -> float:
        """Seconds since some moment, never going back: for durations alone."""


class MachineClock:
    """The machine's own clock."""

    __slots__ = ()

    def now_ms(self) -> int:
        """The machine's time, in epoch milliseconds."""
        return time.time_ns() // 1_000_000

    def exact_ms(self) -> float:
        """The machine's time, in epoch milliseconds with their fraction."""
        return time.time_ns() / 1_000_000

    def monotonic_s(self) -> float:
        """The machine's steady clock, in seconds."""
        return time.monotonic()


class ShiftedClock:
    """A clock that starts at a given instant and runs on from there, `rate` times as fast as the machine's.

    >>> clock = ShiftedClock(start_ms=1_764_144_000_000)
    >>> 0 <= clock.now_ms() - 1_764_144_000_000 < 60_000
    True
    """

    __slots__ = ("_began_s", "_rate", "_start_ms")

    def __init__(self, start_ms: int, rate: float = 1.0) -> None:
        self._start_ms = start_ms
        self._rate = rate
        self._began_s = time.monotonic()

    def now_ms(self) -> int:
        """The shifted time, in epoch milliseconds. It does not jump when the machine's clock is set."""
        return int(self.exact_ms())

    def exact_ms(self) -> float:
        """The same with its fraction."""
        return self._start_ms + (time.monotonic() - self._began_s) * 1000 * self._rate

    def monotonic_s(self) -> float:
        """Seconds on this clock: they pass at its rate."""
        return (time.monotonic() - self._began_s) * self._rate
