"""Presence: when a device enters, dwells at, crosses and leaves a place.

Owns the table below and the device's timers. Works on one device at a time, on the device's own clock. Must not know
users, rules, or where the state is kept. Times are epoch milliseconds of the device, distances metres.

A fix is compared with a fence as *in* or *out* (the point) and *surely in*, *surely out* or neither (its circle):

| state      | fix                   | next       | count | told    |
|------------|-----------------------|------------|-------|---------|
| outside    | in                    | arriving   | 1     |         |
| arriving   | in, surely or n-th    | inside     | 0     | entered |
| arriving   | out                   | outside    | 0     |         |
| inside     | in, or not surely out | inside     | 0     | dwelled, if one waits and it is in |
| inside     | surely out            | leaving    | 1     |         |
| leaving    | surely out, n-th      | outside    | 0     | exited  |
| leaving    | any other             | inside     | 0     |         |

and by timers: leaving + `exit_after`: exited; inside for a rule's `for`: dwelled; any, unseen for `silence`: exited.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from engine.devices import Row
from engine.fast import FAR, NEVER
from engine.zones import Signal, hear
from rules.facts import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.detection import Detection
    from engine.view import View


class Fix(msgspec.Struct, frozen=True, gc=False):
    """One fix: its time, its place in degrees, its accuracy (NaN: unknown) and the fences it is in, ascending."""

    time_ms: int
    lat: float
    lng: float
    accuracy: float
    fences: Sequence[int]


class Change(msgspec.Struct, frozen=True, gc=False):
    """A transition as the machine tells it: the place by number."""

    kind: Kind
    place: int
    time_ms: int
    cause: str
    entered_ms: int
    dwell_ms: int | None = None


class Presence:
    """One device, taken out of the table to be worked on. What it tells is appended to `told`, in order.

    `due_ms` is when its next timer is due, as far as the table knows; the default has it looked up.
    """

    def __init__(
        self,
        view: View,
        rows: list[Row],
        signals: dict[int, Signal],
        clock_ms: int,
        fix_ms: int,
        due_ms: int = NEVER,
    ) -> None:
        self.view = view
        self.rows = {row.fence: row for row in rows}
        self.signals = signals
        self.clock_ms = clock_ms
        self.fix_ms = fix_ms
        self._due_ms = due_ms
        self.told: list[Change] = []

    def on_fix(self, fix: Fix) -> None:
        """Compare a fix with every fence that it is in or that the device is at. Timers due by its time fire first."""
        self.on_clock(fix.time_ms)
        inside = set(fix.fences)
        for fence in sorted(inside | self.rows.keys()):
            detection = self.view.detections[fence]
            if not (detection.instant or not fix.accuracy > detection.max_accuracy_m):
                continue
            row = self.rows.get(fence)
            if row is not None and row.entered_ms is not None and fix.time_ms <= row.entered_ms:
                continue  # a sighting or an edit began this stay later: the fix says nothing of it
            if row is None or row.entered_ms is None:
                self._outside(fence, row, fix, detection, is_in=fence in inside)
            else:
                self._inside(row, fix, detection, is_in=fence in inside)
        self.clock_ms = max(self.clock_ms, fix.time_ms)
        self.fix_ms = max(self.fix_ms, fix.time_ms)

    def on_sighting(self, heard: Sequence[int], time_ms: int, rssi: float) -> None:
        """Take in a sighting of a beacon that belongs to the zones `heard`. Timers due by its time fire first."""
        self.on_clock(time_ms)
        for number in heard:
            left, entered = hear(self.signals, number, self.view.zones, time_ms, rssi)
            if left is not None:
                self._leave_zone(left, time_ms, "sighting")
            if entered:
                self._enter_zone(number, time_ms)
            elif self.signals[number].waits and self.signals[number].good_ms == time_ms:
                self._tell_waiting_zone(number, time_ms)
        self.clock_ms = max(self.clock_ms, time_ms)

    def on_clock(self, until_ms: int) -> None:
        """Fire the timers due at or before `until_ms`, in order."""
        while self._due_ms <= until_ms:
            due_ms, rank, place = min(self._timers(), default=(FAR, 0, 0))
            self._due_ms = due_ms
            if due_ms > until_ms:
                return
            if rank == _DWELL:
                self._dwell(place, due_ms)
            elif place >= self.view.fence_count:
                self._leave_zone(place - self.view.fence_count, due_ms, "timer")
            else:
                self._exit(self.rows[place], due_ms, "timer" if rank == _EXIT else "silent")

    def held(self) -> set[int]:
        """The fences that a zone holds: the device is in the zone, and the zone is inside the fence."""
        holds = self.view.holds
        return {holds[z] for z, s in self.signals.items() if s.entered_ms is not None and holds[z] >= 0}

    def next_timer_ms(self) -> int:
        """When the earliest timer is due, silence apart; `FAR` when there is none."""
        return min((due for due, rank, _ in self._timers() if rank != _SILENT), default=FAR)

    def quiet_ms(self) -> int:
        """The shortest silence after which one of its rows ends; `FAR` when it has none."""
        held = self.held() if self.signals else ()
        due_ms = min((self._silent_ms(row) for fence, row in self.rows.items() if fence not in held), default=FAR)
        return due_ms if due_ms == FAR else due_ms - self.clock_ms

    def busy(self) -> bool:
        """True while the next fix needs the machine, even when it is in the same fences.

        So it is while a count runs, in a zone (a new user takes it along), after a sighting that is newer than the
        newest fix (an older fix names no user), and until the device's clock has come to where an edit began a stay.
        """
        if self.clock_ms > self.fix_ms or any(s.entered_ms is not None for s in self.signals.values()):
            return True
        return any(
            r.entered_ms is None or r.count or r.waits or r.entered_ms > self.clock_ms for r in self.rows.values()
        )

    def sorted_rows(self) -> list[Row]:
        """The rows, in ascending order of fence."""
        return [self.rows[f] for f in sorted(self.rows)]

    # -- the table -------------------------------------------------------------------------------------------------

    def _outside(self, fence: int, row: Row | None, fix: Fix, detection: Detection, *, is_in: bool) -> None:
        if not is_in:
            self.rows.pop(fence, None)
            return
        row = row or Row(fence)
        row.count += 1
        if row.count < detection.enter_fixes and not self._surely_in(fence, fix, detection):
            self.rows[fence] = row
            return
        self._enter(fence, fix.time_ms, "fix")

    def _inside(self, row: Row, fix: Fix, detection: Detection, *, is_in: bool) -> None:
        if is_in:
            row.count = 0
            if row.waits:
                self._tell_waiting(row, fix.time_ms)
        elif (self.signals and row.fence in self.held()) or not self._surely_out(row.fence, fix, detection):
            row.count = 0
        else:
            if row.count == 0:
                row.row_ms = fix.time_ms
            row.count += 1
            if row.count >= detection.exit_fixes:
                self._exit(row, fix.time_ms, "fix")

    def _surely_in(self, fence: int, fix: Fix, detection: Detection) -> bool:
        if detection.instant:
            return True
        return fix.accuracy == fix.accuracy and self._distance_m(fence, fix) <= -fix.accuracy

    def _surely_out(self, fence: int, fix: Fix, detection: Detection) -> bool:
        if detection.instant or fix.accuracy != fix.accuracy:
            return True
        return self._distance_m(fence, fix) > fix.accuracy

    def _distance_m(self, fence: int, fix: Fix) -> float:
        at = (np.array([fence], np.int32), np.array([fix.lat]), np.array([fix.lng]))
        return float(self.view.borders.signed_distance_m(*at)[0])

    # -- what is told ----------------------------------------------------------------------------------------------

    def _enter(self, fence: int, time_ms: int, cause: str) -> None:
        self.rows[fence] = Row(fence, entered_ms=time_ms)
        self.told.append(Change(Kind.ENTERED, fence, time_ms, cause, time_ms))

    def _exit(self, row: Row, time_ms: int, cause: str) -> None:
        del self.rows[row.fence]
        if row.entered_ms is not None:
            self.told.append(Change(Kind.EXITED, row.fence, time_ms, cause, row.entered_ms))

    def _enter_zone(self, number: int, time_ms: int) -> None:
        signal = self.signals[number]
        signal.entered_ms, signal.dwelled_ms, signal.waits = time_ms, 0, False
        signal.lead_ms, signal.lead_count = NEVER, 0
        place = self.view.fence_count + number
        self.told.append(Change(Kind.ENTERED, place, time_ms, "sighting", time_ms))
        fence = self.view.holds[number]
        if fence < 0:
            return
        row = self.rows.get(fence)
        if row is None or row.entered_ms is None:
            self._enter(fence, time_ms, "sighting")
        else:
            row.count = 0

    def _leave_zone(self, number: int, time_ms: int, cause: str) -> None:
        signal = self.signals.pop(number)
        if signal.entered_ms is not None:
            place = self.view.fence_count + number
            self.told.append(Change(Kind.EXITED, place, time_ms, cause, signal.entered_ms))

    def _dwell(self, place: int, due_ms: int) -> None:
        """A dwell time is past. It is told if the device was seen lately, else at the next fix that is in."""
        fences = self.view.fence_count
        if place < fences:
            row = self.rows[place]
            detection = self.view.detections[place]
            seen_ms = self.clock_ms if place in self.held() else self.fix_ms
            if due_ms - seen_ms > detection.max_silence_ms:
                row.waits = True
                return
            row.dwelled_ms = self._tell_dwelled(place, row.entered_ms or 0, row.dwelled_ms, due_ms, due_ms)
            return
        signal = self.signals[place - fences]
        if due_ms - signal.good_ms > self.view.max_silence_ms:
            signal.waits = True
            return
        signal.dwelled_ms = self._tell_dwelled(place, signal.entered_ms or 0, signal.dwelled_ms, due_ms, due_ms)

    def _tell_waiting(self, row: Row, time_ms: int) -> None:
        row.waits = False
        row.dwelled_ms = self._tell_dwelled(row.fence, row.entered_ms or 0, row.dwelled_ms, time_ms, time_ms)

    def _tell_waiting_zone(self, number: int, time_ms: int) -> None:
        signal = self.signals[number]
        signal.waits = False
        place = self.view.fence_count + number
        signal.dwelled_ms = self._tell_dwelled(place, signal.entered_ms or 0, signal.dwelled_ms, time_ms, time_ms)

    def _tell_dwelled(self, place: int, entered_ms: int, told_ms: int, until_ms: int, at_ms: int) -> int:
        """Tell each dwell time past by `until_ms` and not yet told, as of `at_ms`; returns the longest."""
        for dwell_ms in self.view.dwells[place]:
            if told_ms < dwell_ms and entered_ms + dwell_ms <= until_ms:
                self.told.append(Change(Kind.DWELLED, place, at_ms, "timer", entered_ms, dwell_ms))
                told_ms = dwell_ms
        return told_ms

    # -- timers ----------------------------------------------------------------------------------------------------

    def _timers(self) -> list[tuple[int, int, int]]:
        """Every timer that runs: (due, rank, place). At equal times a dwell comes before an exit."""
        timers: list[tuple[int, int, int]] = []
        held = self.held() if self.signals else set()
        for fence, row in self.rows.items():
            detection = self.view.detections[fence]
            if fence not in held:
                timers.append((self._silent_ms(row), _SILENT, fence))
            if row.entered_ms is None:
                continue
            if row.count and fence not in held:
                timers.append((row.row_ms + detection.exit_after_ms, _EXIT, fence))
            if not row.waits:
                self._add_dwell(timers, fence, row.entered_ms, row.dwelled_ms)
        for number, signal in self.signals.items():
            if signal.entered_ms is None:
                continue
            place = self.view.fence_count + number
            timers.append((signal.good_ms + self.view.zones[number].exit_after_ms, _EXIT, place))
            if not signal.waits:
                self._add_dwell(timers, place, signal.entered_ms, signal.dwelled_ms)
        return timers

    def _silent_ms(self, row: Row) -> int:
        """When silence ends a row: not before an edit began it, ahead of the device's clock."""
        due_ms = self.clock_ms + self.view.detections[row.fence].silence_ms
        return due_ms if row.entered_ms is None else max(due_ms, row.entered_ms)

    def _add_dwell(self, timers: list[tuple[int, int, int]], place: int, entered_ms: int, told_ms: int) -> None:
        for dwell_ms in self.view.dwells[place]:
            if dwell_ms > told_ms:
                timers.append((entered_ms + dwell_ms, _DWELL, place))
                return


_DWELL, _EXIT, _SILENT = 0, 1, 2
