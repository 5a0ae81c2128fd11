"""The machine of presence in plain Python: the table at the top of `engine/presence.py`, read row by row.

The twin of the kernels, for one device among fences without beacon zones. It is slow, and shares nothing with them but
the settings and the map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from engine.detection import Detection
    from engine.view import View
    from geo.border import Borders

FAR = 2**62
DWELL, EXIT, SILENCE = 0, 1, 2
#: (kind, place, time, cause, entered, dwell)
Told = tuple[str, str, int, str, int, int | None]


@dataclass
class Row:
    """The device at one fence; `entered_ms` is None while it is arriving."""

    entered_ms: int | None = None
    count: int = 0
    first_out_ms: int = 0
    dwelled_ms: int = 0
    waits: bool = False


@dataclass
class PlainPresence:
    """One device. What it tells is appended to `told`."""

    view: View
    borders: Borders
    clock_ms: int = 0
    rows: dict[int, Row] = field(default_factory=dict)
    told: list[Told] = field(default_factory=list)

    def on_fix(self, time_ms: int, lat: float, lng: float, accuracy: float) -> None:
        """Compare the device's newest fix with every fence."""
        self.on_clock(time_ms)
        self.clock_ms = time_ms
        offsets, fences = self.view.index.match(np.array([lat]), np.array([lng]))
        inside = set(fences[offsets[0] : offsets[1]].tolist())
        for fence in sorted(inside | self.rows.keys()):
            detection = self.view.detections[fence]
            if not detection.instant and accuracy > detection.max_accuracy_m:
                continue
            signed = self.borders.signed_distance_m(np.array([fence], np.int32), np.array([lat]), np.array([lng]))
            state = self.rows.get(fence)
            if state is None or state.entered_ms is None:
                self._outside(fence, detection, time_ms, accuracy, float(signed[0]), is_in=fence in inside)
            else:
                self._inside(fence, detection, time_ms, accuracy, float(signed[0]), is_in=fence in inside)

    def on_clock(self, until_ms: int) -> None:
        """Fire the timers due at or before `until_ms`, in order."""
        while True:
            due_ms, rank, fence = min(self._timers(), default=(FAR, 0, 0))
            if due_ms > until_ms:
                return
            row = self.rows[fence]
            if rank != DWELL:
                self._exit(fence, due_ms, "timer" if rank == EXIT else "silent")
            elif due_ms - self.clock_ms > self.view.detections[fence].max_silence_ms:
                row.waits = True
            else:
                self._dwelled(fence, due_ms)

    def next_due_ms(self) -> int:
        """When the next timer is due."""
        return min(self._timers(), default=(FAR, 0, 0))[0]

    def _outside(
        self, fence: int, detection: Detection, time_ms: int, accuracy: float, signed_m: float, *, is_in: bool
    ) -> None:
        if not is_in:
            self.rows.pop(fence, None)
            return
        row = self.rows.setdefault(fence, Row())
        row.count += 1
        surely = detection.instant or signed_m <= -accuracy
        if surely or row.count >= detection.enter_fixes:
            self.rows[fence] = Row(time_ms)
            self._tell("entered", fence, time_ms, "fix", time_ms)

    def _inside(
        self, fence: int, detection: Detection, time_ms: int, accuracy: float, signed_m: float, *, is_in: bool
    ) -> None:
        row = self.rows[fence]
        surely_out = not is_in and (detection.instant or accuracy != accuracy or signed_m > accuracy)
        if not surely_out:
            row.count = 0
            if is_in and row.waits:
                row.waits = False
                self._dwelled(fence, time_ms)
            return
        if row.count == 0:
            row.first_out_ms = time_ms
        row.count += 1
        if row.count >= detection.exit_fixes:
            self._exit(fence, time_ms, "fix")

    def _exit(self, fence: int, time_ms: int, cause: str) -> None:
        row = self.rows.pop(fence)
        if row.entered_ms is not None:
            self._tell("exited", fence, time_ms, cause, row.entered_ms)

    def _dwelled(self, fence: int, time_ms: int) -> None:
        row = self.rows[fence]
        for dwell_ms in self.view.dwells[fence]:
            if row.entered_ms is not None and row.dwelled_ms < dwell_ms <= time_ms - row.entered_ms:
                self._tell("dwelled", fence, time_ms, "timer", row.entered_ms, dwell_ms)
                row.dwelled_ms = dwell_ms

    def _tell(
        self, kind: str, fence: int, time_ms: int, cause: str, entered_ms: int, dwell_ms: int | None = None
    ) -> None:
        self.told.append((kind, self.view.places[fence].id, time_ms, cause, entered_ms, dwell_ms))

    def _timers(self) -> list[tuple[int, int, int]]:
        """Every timer that runs: (due, rank, fence)."""
        timers = []
        for fence, row in self.rows.items():
            detection = self.view.detections[fence]
            timers.append((self.clock_ms + detection.silence_ms, SILENCE, fence))
            if row.entered_ms is None:
                continue
            if row.count:
                timers.append((row.first_out_ms + detection.exit_after_ms, EXIT, fence))
            waiting = [d for d in self.view.dwells[fence] if d > row.dwelled_ms and not row.waits]
            timers += [(row.entered_ms + d, DWELL, fence) for d in waiting[:1]]
        return timers
