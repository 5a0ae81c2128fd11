"""A crowd on foot: everybody pings once a step. For what keeps state from ping to ping.

Owns how people walk. Must not know who is asked where they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec.structs import replace

from benchmarks.city import LAT_M, LNG_M
from engine.rows import Rows, columns

if TYPE_CHECKING:
    from benchmarks.city import City
    from engine.wire import Located

T0 = 1_795_593_600_000
STEP_MS = 5_000
STEP_M = 7.0
"""A brisk walk: 7 m in 5 s."""
STROLL_M = 3.5
"""Of people who stop now and then: about one transition in 20 pings, among 10,000 fences of a city."""


class Walk:
    """Devices `d0`, `d1`, ... of a city, each with a heading that turns a little at every step."""

    def __init__(self, world: City, devices: int, step_m: float = STEP_M) -> None:
        self.lat, self.lng = world.points(devices)
        self._rng = world.rng
        self._heading = self._rng.uniform(0, 2 * np.pi, devices)
        self.names = [f"d{n}" for n in range(devices)]
        self.now_ms = T0
        self._step_m = step_m

    def move(self) -> None:
        """One step of everybody."""
        self.now_ms += STEP_MS
        self._heading += self._rng.normal(0, 0.3, len(self.names))
        self.lat = self.lat + self._step_m * np.sin(self._heading) / LAT_M
        self.lng = self.lng + self._step_m * np.cos(self._heading) / LNG_M

    def batch(self, first: int = 0, end: int | None = None) -> Located:
        """A ping of everybody where they are now, or of some, as one request.

        Names are numbers of one table, as those are that `run` has read: everybody has pinged before.
        """
        names = self.names[first:end]
        count = len(names)
        none: list[Any] = [None] * count
        rows = Rows(
            names, [self.now_ms] * count, self.lat[first:end].tolist(), self.lng[first:end].tolist(), none, none,
            [10.0] * count, none, none, none, none,
        )  # fmt: skip
        numbers = np.arange(first, first + count, dtype=np.int32)
        return replace(columns([rows]), strings=self.names, device=numbers.tobytes())

    def batches(self, rows: int) -> list[Located]:
        """A ping of everybody, in requests of so many rows."""
        return [self.batch(first, first + rows) for first in range(0, len(self.names), rows)]

    def step(self) -> tuple[Located, int]:
        """Move, and ping."""
        self.move()
        return self.batch(), self.now_ms
