"""A device that hears beacons: its zones in Python, beside the one machine of `engine/presence.py` for its fences.

Owns the timers of zones and how they and those of the fences take turns, and the fences that zones hold. Works on one
device at a time. Must not know when a device is in a zone: `engine/zones.py` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from engine.batch import take_fix, tick
from engine.layout import (
    ASIDE,
    BY_TIMER,
    DWELLED,
    ENTERED,
    EXITED,
    FAR,
    FIX,
    MOVED,
    NEVER,
    NONE,
    SIGHTING,
    WITH,
    Array,
)  # fmt: skip
from engine.pool import take
from engine.presence import DWELL, EXIT, SILENCE, finish, hold, release, tell
from engine.queue import own_due_ms, schedule
from engine.zones import Signal, hear

if TYPE_CHECKING:
    from engine.devices import Devices, Row
    from engine.view import View

#: A zone that was only heard is forgotten after this.
_HEARD_MS = 10_000


@dataclass(slots=True)
class Hearing:
    """One device, with the `signals` that it hears. What it tells is of the request and time given."""

    view: View
    devices: Devices
    slot: int
    signals: dict[int, Signal]
    request: int
    now_ms: int

    def on_clock(self, until_ms: int) -> None:
        """Fire the timers due at or before `until_ms` on the device's clock, in order."""
        if own_due_ms(self.devices.state, self.slot) > until_ms:
            return
        while True:
            due_ms, rank, number = min(self._timers(), default=(FAR, SILENCE, NONE))
            until = (due_ms, rank) if due_ms <= until_ms else (until_ms, SILENCE)
            self.devices.make_room(self.view.asks, self.slot)
            tick(self.devices.state, self.view.asks, self.slot, self._held(), *until, self.request, self.now_ms)
            if due_ms > until_ms:
                break
            if rank == DWELL:
                self._dwell(number, due_ms)
            else:
                self._leave(number, due_ms, BY_TIMER)
                self._release(number, due_ms)
        self._note()

    def hand_over(self, user: int, time_ms: int) -> None:
        """The device is another user's from here on, with all that it is in; if it is in nothing, nobody need know."""
        places = [(row.fence, row.entered_ms) for row in self.devices.load(self.slot) if row.entered_ms is not None]
        places += [
            (self.view.fence_count + number, signal.entered_ms)
            for number, signal in self.signals.items()
            if signal.entered_ms is not None
        ]
        if places:
            self._tell(MOVED, user, time_ms, FIX, 0)
        for place, entered_ms in places:
            self._tell(WITH, place, time_ms, FIX, entered_ms)
        self.devices.columns["user"][self.slot] = user

    def on_fix(self, fix: tuple[int, int, float, float, float, int], fences: Array) -> None:
        """Take in a fix: (time, received, lat, lng, accuracy, mocked). Timers due by then have fired."""
        self.devices.make_room(self.view.asks, self.slot, fences.size)
        take_fix(self.devices.state, self.view.asks, self.slot, NONE, fix, fences, self._held(), self.request)
        self._note()

    def on_sighting(self, beacon: str, time_ms: int, rssi: float) -> None:
        """Take in a sighting. Timers due by then have fired."""
        clock = self.devices.columns["clock_ms"]
        for number in self.view.heard.zones(beacon):
            left, entered_ms = hear(self.signals, number, self.view.zones, time_ms, rssi, int(clock[self.slot]))
            if left is not None and entered_ms is not None:
                self._leave(left, entered_ms, SIGHTING)
            signal = self.signals[number]
            if entered_ms is not None:
                self._enter(number, entered_ms)
            elif signal.waits and signal.good_ms == time_ms:
                signal.waits = False
                self._tell_dwelled(number, time_ms)
            if left is not None and entered_ms is not None:
                self._release(left, entered_ms)
        clock[self.slot] = max(int(clock[self.slot]), time_ms)

    def replace_rows(self, rows: list[Row]) -> None:
        """Give the device other rows, in ascending order of fence."""
        n = self.devices.lay_out(rows)
        finish(self.devices.state, self.view.asks, self.slot, n, self._held())

    def finish(self) -> dict[int, Signal]:
        """Put the device back, with its timers; returns the signals that are worth keeping."""
        clock_ms = int(self.devices.columns["clock_ms"][self.slot])
        self.signals = {
            z: s for z, s in self.signals.items() if s.entered_ms is not None or clock_ms - s.recent[-1][0] <= _HEARD_MS
        }
        state = self.devices.state
        finish(state, self.view.asks, self.slot, take(state, self.slot), self._held())
        self._note()
        schedule(state, self.slot)
        return self.signals

    # -- zones -----------------------------------------------------------------------------------------------------

    def _held(self) -> Array:
        """The fences that a zone holds: the device is in the zone, and the zone is inside the fence."""
        holds = self.view.holds
        return np.array(
            [holds[z] for z, s in self.signals.items() if s.entered_ms is not None and holds[z] >= 0], np.int32
        )

    def _enter(self, number: int, time_ms: int) -> None:
        signal = self.signals[number]
        signal.entered_ms, signal.dwelled_ms, signal.waits = time_ms, 0, False
        signal.lead_ms, signal.lead_count = NEVER, 0
        self._tell(ENTERED, self.view.fence_count + number, time_ms, SIGHTING, time_ms)
        fence = self.view.holds[number]
        if fence < 0:
            return
        self.devices.make_room(self.view.asks, self.slot, 1)
        state = self.devices.state
        n = hold(state, self.view.asks, self.slot, take(state, self.slot), fence, time_ms, self.request, self.now_ms)
        finish(state, self.view.asks, self.slot, n, self._held())

    def _release(self, number: int, time_ms: int) -> None:
        """The zone, which was left, holds its fence no longer. Another zone may."""
        fence, held = self.view.holds[number], self._held()
        if fence < 0 or fence in held:
            return
        self.devices.make_room(self.view.asks, self.slot)
        state = self.devices.state
        n = release(state, self.view.asks, self.slot, take(state, self.slot), fence, time_ms, self.request, self.now_ms)
        finish(state, self.view.asks, self.slot, n, held)

    def _leave(self, number: int, time_ms: int, cause: int) -> None:
        signal = self.signals.pop(number)
        if signal.entered_ms is not None:
            self._tell(EXITED, self.view.fence_count + number, time_ms, cause, signal.entered_ms)

    def _dwell(self, number: int, due_ms: int) -> None:
        """A dwell time is past. It is told if the zone was heard well lately, else at the next such sighting."""
        signal = self.signals[number]
        if due_ms - signal.good_ms > self.view.max_silence_ms:
            signal.waits = True
        else:
            self._tell_dwelled(number, due_ms)

    def _tell_dwelled(self, number: int, time_ms: int) -> None:
        """Tell each dwell time past and not yet told."""
        signal, place = self.signals[number], self.view.fence_count + number
        entered_ms = signal.entered_ms or 0
        for dwell_ms in self.view.dwells[place]:
            if signal.dwelled_ms < dwell_ms and entered_ms + dwell_ms <= time_ms:
                self._tell(DWELLED, place, time_ms, BY_TIMER, entered_ms, dwell_ms)
                signal.dwelled_ms = dwell_ms

    def _tell(self, kind: int, place: int, time_ms: int, cause: int, entered_ms: int, dwell_ms: int = 0) -> None:
        self.devices.make_room(self.view.asks, self.slot, 1)
        tell(
            self.devices.state, self.slot, kind, place, time_ms, cause, entered_ms, dwell_ms, self.request, self.now_ms
        )

    # -- timers ----------------------------------------------------------------------------------------------------

    def _timers(self) -> list[tuple[int, int, int]]:
        """Every timer of a zone that runs: (due, rank, zone)."""
        timers: list[tuple[int, int, int]] = []
        for number, signal in self.signals.items():
            if signal.entered_ms is None:
                continue
            # not before a dwell that was told, if an edit made the time short
            told_ms = signal.entered_ms + signal.dwelled_ms
            timers.append((max(signal.good_ms + self.view.zones[number].exit_after_ms, told_ms), EXIT, number))
            if not signal.waits:
                for dwell_ms in self.view.dwells[self.view.fence_count + number]:
                    if dwell_ms > signal.dwelled_ms:
                        timers.append((signal.entered_ms + dwell_ms, DWELL, number))
                        break
        return timers

    def _note(self) -> None:
        """Add the zones to what the table knows of the device's timers, and have it taken aside while it hears any."""
        columns = self.devices.columns
        due_ms = min((due for due, _, _ in self._timers()), default=FAR)
        columns["timer_ms"][self.slot] = min(int(columns["timer_ms"][self.slot]), due_ms)
        if self.signals:
            columns["busy"][self.slot] = ASIDE
