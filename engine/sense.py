"""The first stage of the fold: from pings and sightings to transitions.

Owns the devices and what they are at, and who works a row: the kernels of `engine/batch.py`, or `engine/hearing.py` for
devices that hear beacons. Must not know users' facts or rules: `engine/judge.py` does. Instants are epoch milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from engine.batch import ASKED, DONE, DUPLICATE, LATE, NO_REQUEST, NOTHING_HELD, Rows, lay_out, ring, work
from engine.counted import Counted, counted
from engine.devices import Devices
from engine.hearing import Hearing
from engine.layout import FAR, NEVER, NONE, QUEUED, TOLDS, Array
from engine.own_numbers import OwnNumbers
from engine.queue import schedule_all
from engine.told import Telling, tellings_of, tellings_of_each

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.joined import Joined
    from engine.view import View
    from engine.wire import Located
    from engine.zones import Signal

#: So many beacons of one device are remembered, to know a repeated sighting.
_BEACONS_MAX = 256
#: So many due devices that hear beacons are worked at a time.
_LEFT_MAX = 256


@dataclass(slots=True)
class Sense:
    """The devices, and what they are at. Changed by its methods only."""

    view: View
    devices: Devices = field(default_factory=Devices)
    signals: dict[int, dict[int, Signal]] = field(default_factory=dict)
    beacons: dict[int, dict[str, int]] = field(default_factory=dict)
    _slots: OwnNumbers = field(default_factory=OwnNumbers)
    _users: OwnNumbers = field(default_factory=OwnNumbers)

    def __post_init__(self) -> None:
        self.look(self.view)

    def look(self, view: View) -> None:
        """See the site so from here on."""
        self.view = view
        self.devices.keep_usable(view.asks.crossings.size > 0)

    # -- pings -----------------------------------------------------------------------------------------------------

    def located(self, batch: Located, now_ms: int, first_request: int) -> tuple[list[Telling], Counted]:
        """Work a batch of accepted pings and sightings; its requests are numbered from `first_request`."""
        borders = _borders(batch.borders)
        rows = self.rows(batch, borders, borders[-1:], np.array((now_ms,), np.int64))
        at = 0, 0
        while at[1] < rows.ends.size:
            at = self.work(batch, rows, at, FAR, first_request)
        return self.tellings(), counted(rows)

    def joined(self, frames: Joined) -> Rows:
        """The pings and sightings of frames that were joined, for `work`."""
        return self.rows(frames.located, _borders(frames.located.borders), frames.ends, frames.instants)

    def rows(self, batch: Located, borders: Array, ends: Array, instants: Array) -> Rows:
        """A batch with its names turned into the table's numbers, matched with the fences."""
        device = self._slots.of(batch.column("device"), batch.strings, self.devices.slots_of)
        user = self._users.of(batch.column("user"), batch.strings, self.devices.users_of)
        time_ms, beacon = batch.column("time"), batch.column("beacon")
        lat, lng = batch.column("lat"), batch.column("lng")
        count = time_ms.size
        sighting, code, received = np.empty(count, np.uint8), np.empty(count, np.uint8), np.empty(count, np.int64)
        if lay_out(beacon, instants, sighting, code, received):  # a sighting has no point: it is matched with nothing
            lat, lng = _fixed(np.where(sighting, 0.0, lat)), _fixed(np.where(sighting, 0.0, lng))
        received = batch.column("received") if batch.received else _fixed(received)
        offsets, fences = self.view.index.match(lat, lng)
        self.devices.make_room_for_timers(count)
        return Rows(
            device, user, sighting, time_ms, received, lat, lng, batch.column("accuracy"), batch.column("mocked"),
            offsets, fences, borders, code, ends, instants,
        )  # fmt: skip

    def work(
        self, batch: Located, rows: Rows, at: tuple[int, int], until_ms: int, first_request: int
    ) -> tuple[int, int]:
        """Work the rows of a batch from `at` on, a row and its frame; returns where to go on from.

        Until there no frame after the first has a timer to fire before its rows, or begins at `until_ms` or later. What
        is told waits until it is asked for.
        """
        row, frame, left = work(self.devices.state, self.view.asks, rows, NOTHING_HELD, *at, until_ms, first_request)
        if left and frame > at[1]:
            begin, end = int(rows.ends[frame - 2]) if frame > 1 else 0, int(rows.ends[frame - 1])
            if (rows.code[begin:end] == ASKED).any():
                self._aside(batch, rows, begin, end, first_request)
        count = rows.device.size
        if row < count:
            matched = int(rows.offsets[row + 1] - rows.offsets[row])
            self.devices.make_room(self.view.asks, int(rows.device[row]), matched)
            self.devices.make_room_for_timers(count - row)
        return row, frame

    def tellings(self, before: int = 0) -> list[Telling]:
        """What was told since this was asked last. The first records of it were told `before` the others."""
        return tellings_of(self.devices, self.view.places, self.view.rank, before)

    def tellings_each(self, ends: Array) -> list[tuple[int, list[Telling]]]:
        """What was told since this was asked last, by frames: the requests of frame n end before `ends[n]`."""
        return tellings_of_each(self.devices, self.view.places, self.view.rank, ends)

    # -- devices that hear beacons ---------------------------------------------------------------------------------

    def _aside(self, batch: Located, rows: Rows, begin: int, end: int, first_request: int) -> None:
        """Work the rows from `begin` to before `end` that the kernel left, in order."""
        behind: dict[int, int] = {}
        request = bisect_right(batch.borders, begin)
        beacons, rssi = batch.column("beacon"), batch.column("rssi")
        clock = self.devices.columns["clock_ms"]
        for i in (np.nonzero(rows.code[begin:end] == ASKED)[0] + begin).tolist():
            if i >= batch.borders[request]:
                self._catch_up(behind, first_request + request)
                request = bisect_right(batch.borders, i)
            slot = int(rows.device[i])
            if rows.time_ms[i] < clock[slot]:
                behind[slot] = int(rows.received_ms[i])
            beacon = None if beacons[i] == NONE else batch.strings[beacons[i]]
            rows.code[i] = self._work(rows, i, beacon, float(rssi[i]), first_request + request)
        self._catch_up(behind, first_request + request)
        self.devices.state.aside[rows.device[begin:end]] = 0

    def _work(self, rows: Rows, i: int, beacon: str | None, rssi: float, request: int) -> int:
        """Work one row of a device that hears beacons; returns what became of it."""
        slot, time_ms, user = int(rows.device[i]), int(rows.time_ms[i]), int(rows.user[i])
        columns = self.devices.columns
        heard = self.beacons.get(slot, {})
        newest = int(columns["fix_ms"][slot]) if beacon is None else heard.get(beacon, NEVER)
        if time_ms <= newest:
            return DUPLICATE if time_ms == newest else LATE
        received_ms = int(rows.received_ms[i])
        hearing = self._hearing(slot, request, received_ms)
        hearing.on_clock(time_ms)
        newest_ping = time_ms >= columns["clock_ms"][slot]
        if newest_ping and user >= 0 and user != columns["user"][slot]:
            hearing.hand_over(user, time_ms)
        if beacon is None:
            fix = (
                time_ms, received_ms, float(rows.lat[i]), float(rows.lng[i]), float(rows.accuracy[i]),
                int(rows.mocked[i]),
            )  # fmt: skip
            hearing.on_fix(fix, rows.fences[rows.offsets[i] : rows.offsets[i + 1]])
        else:
            self._note_beacon(slot, beacon, time_ms)
            hearing.on_sighting(beacon, time_ms, rssi)
        if newest_ping:
            self.devices.columns["recv_ms"][slot] = received_ms
        self.put(hearing)
        return DONE

    def _catch_up(self, behind: dict[int, int], request: int) -> None:
        """At the end of a request, fire the timers that are due already: those of rows older than their device's clock.

        `behind` maps slots to when the rows were received. Without this, the next step would: how requests are gathered
        into steps must change nothing.
        """
        for slot, now_ms in behind.items():
            self._tick(slot, now_ms, request, now_ms)
        behind.clear()

    def _tick(self, slot: int, until_ms: int, request: int, now_ms: int) -> None:
        """Fire a device's timers that are due by `until_ms` on the machine's clock."""
        columns = self.devices.columns
        hearing = self._hearing(slot, request, now_ms)
        hearing.on_clock(int(columns["clock_ms"][slot]) + until_ms - int(columns["recv_ms"][slot]))
        self.put(hearing)

    def _hearing(self, slot: int, request: int, now_ms: int) -> Hearing:
        return Hearing(self.view, self.devices, slot, self.signals.get(slot, {}), request, now_ms)

    def put(self, hearing: Hearing) -> None:
        """A device that was worked, back into the table, with its timers."""
        self.devices.make_room_for_timers(1)
        signals = hearing.finish()
        if signals:
            self.signals[hearing.slot] = signals
        else:
            self.signals.pop(hearing.slot, None)

    def _note_beacon(self, slot: int, beacon: str, time_ms: int) -> None:
        heard = self.beacons.setdefault(slot, {})
        heard[beacon] = time_ms
        if len(heard) > _BEACONS_MAX:
            del heard[min(heard, key=lambda b: (heard[b], b))]

    # -- timers on the machine's clock -----------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """When the next device timer may be due, by the machine's clock; None when none runs."""
        state = self.devices.state
        return int(state.queue[0]["due_ms"]) if state.book[QUEUED] else None

    def fire(self, until_ms: int, now_ms: int) -> list[Telling]:
        """Fire the device timers due by `until_ms`, as told at `now_ms`; if they tell anything, then after all else."""
        before = int(self.devices.state.book[TOLDS])
        while (due_ms := self.next_due_ms()) is not None and due_ms <= until_ms:
            self.devices.make_room(self.view.asks, int(self.devices.state.queue[0]["slot"]))
            left = np.zeros(_LEFT_MAX, np.int32)
            found = ring(self.devices.state, self.view.asks, NOTHING_HELD, until_ms, now_ms, left)
            for slot in left[:found].tolist():
                self._tick(slot, until_ms, NO_REQUEST, now_ms)
        return self.tellings(before) if self.devices.state.book[TOLDS] > before else []

    def reschedule(self) -> None:
        """Put every device's timers anew, as after an edit of the site or a restart."""
        self.devices.make_room_for_timers(self.devices.slots_used)
        schedule_all(self.devices.state, self.devices.slots_used)

    # -- who is where ----------------------------------------------------------------------------------------------

    def present(self, places: Sequence[int]) -> list[tuple[int, int, int]]:
        """Who is at any of these places: (slot, place number, entered_ms) of each device."""
        fences = self.view.fence_count
        found = self.devices.inside([n for n in places if n < fences], fences)
        zones = {n - fences for n in places if n >= fences}
        if zones:
            for slot, signals in self.signals.items():
                for number, signal in signals.items():
                    if number in zones and signal.entered_ms is not None:
                        found.append((slot, fences + number, signal.entered_ms))
        return found

    def forget(self, user: str) -> list[str]:
        """Forget a user's devices, as if they had never been heard of; nothing is told. Returns their names."""
        theirs = self.devices.forget_user(user)
        self._slots, self._users = OwnNumbers(), OwnNumbers()  # theirs will be others'
        for slot in theirs:
            self.signals.pop(slot, None)
            self.beacons.pop(slot, None)
        return list(theirs.values())


def _borders(borders: Sequence[int]) -> Array:
    return np.fromiter(borders, np.int64, len(borders))


def _fixed(array: Array) -> Array:
    """The array, read-only as the columns of a batch are: kernels are compiled for one or the other."""
    array.flags.writeable = False
    return array
