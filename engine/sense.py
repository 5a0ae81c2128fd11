"""The first stage of the fold: from pings and sightings to transitions.

Owns arrival order (late, duplicate), the devices, their timers on the machine's clock, and the ids of what happened.
Must not know users' facts or rules: `engine/judge.py` does. Instants are epoch milliseconds.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from heapq import heappop, heappush
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.crossing import GAP_MS, crossed
from engine.devices import Devices
from engine.fast import AGAIN, DONE, DUPLICATE, FAR, LATE, NEVER, SLOW, sift
from engine.ids import episode_id
from engine.presence import Change, Fix, Presence
from engine.wire import NONE
from rules.facts import Kind
from rules.ids import h

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from engine.view import View
    from engine.wire import Located
    from engine.zones import Signal
    from rules.place import Place

Array = np.ndarray[Any, Any]
#: So many beacons of one device are remembered, to know a repeated sighting.
_BEACONS_MAX = 256
#: A zone that was only heard is forgotten after this.
_HEARD_MS = 10_000
#: The request number of what no request caused.
NO_REQUEST = -1


class Transition(msgspec.Struct, frozen=True, gc=False):
    """A device entered, dwelled at, crossed or left a place. `accuracy_m` and `mocked` are its newest fix's."""

    id: str
    episode: str
    device: str
    user: str
    place: Place
    kind: Kind
    time_ms: int
    cause: str
    entered_ms: int
    dwell_ms: int | None = None
    accuracy_m: float | None = None
    mocked: bool = False
    request: int = NO_REQUEST
    now_ms: int = 0


@dataclass(frozen=True, slots=True)
class Moved:
    """A device changed hands while it was in `places` (id, entered_ms): a ping named another user."""

    device: str
    user_from: str
    user_to: str
    time_ms: int
    places: tuple[tuple[str, int], ...]
    request: int


@dataclass(slots=True)
class Counted:
    """What became of the rows of each request, as int64 arrays with one entry a request; late ones are accepted."""

    accepted: Array
    duplicate: Array
    late: Array


@dataclass(slots=True)
class Sense:
    """The devices, and what they are at. Changed by its methods only."""

    view: View
    devices: Devices = field(default_factory=Devices)
    signals: dict[int, dict[int, Signal]] = field(default_factory=dict)
    beacons: dict[int, dict[str, int]] = field(default_factory=dict)
    _heap: list[tuple[int, int]] = field(default_factory=list)
    _pushed: dict[int, int] = field(default_factory=dict)
    _blocked: Array = field(default_factory=lambda: np.zeros(0, np.uint8))

    # -- pings -----------------------------------------------------------------------------------------------------

    def located(self, batch: Located, now_ms: int, first_request: int) -> tuple[list[Transition | Moved], Counted]:
        """Work a batch of accepted pings and sightings; its requests are numbered from `first_request`."""
        rows = _Rows(batch, self.devices, now_ms)
        offsets, fences = self.view.index.match(rows.lat, rows.lng)
        self._sift(rows, offsets, fences)
        borders = batch.borders
        told: list[Transition | Moved] = []
        behind: dict[int, int] = {}
        request = 0
        for i in np.nonzero(rows.code == SLOW)[0].tolist():
            if i >= borders[request]:
                self._catch_up(behind, first_request + request, told)
                request = bisect_right(borders, i)
            slot = int(rows.device[i])
            if rows.time[i] < self.devices.columns["clock_ms"][slot]:
                behind[slot] = int(rows.received[i])
            found = fences[offsets[i] : offsets[i + 1]].tolist()
            rows.code[i] = self._work(rows, i, found, first_request + request, told)
        self._catch_up(behind, first_request + request, told)
        for i in np.nonzero(rows.code == AGAIN)[0].tolist():
            self._schedule(int(rows.device[i]))
            rows.code[i] = DONE
        return in_order(told), _count(rows.code, borders)

    def _sift(self, rows: _Rows, offsets: Array, fences: Array) -> None:
        columns, pool = self.devices.columns, self.devices.pool
        if len(self._blocked) < len(columns["clock_ms"]):
            self._blocked = np.zeros(len(columns["clock_ms"]), np.uint8)
        held = (*(columns[name] for name in _HELD), self._blocked)
        sift(
            rows.device, rows.user, rows.sighting, rows.time, rows.received,
            rows.lat, rows.lng, rows.accuracy, rows.mocked,
            offsets, fences, self.view.accuracy_max_m, self.view.crossing_accuracy_m, self.view.boxes, GAP_MS,
            held, pool["fence"], pool["entered_ms"], rows.code,
        )  # fmt: skip
        self._blocked[rows.device] = 0

    def _work(self, rows: _Rows, i: int, fences: list[int], request: int, told: list[Transition | Moved]) -> int:
        """Work one row through the machine; returns what became of it."""
        slot, time_ms = int(rows.device[i]), int(rows.time[i])
        columns = self.devices.columns
        beacon = rows.beacon_of(i)
        heard = self.beacons.get(slot, {})
        newest = int(columns["fix_ms"][slot]) if beacon is None else heard.get(beacon, NEVER)
        if time_ms <= newest:
            return DUPLICATE if time_ms == newest else LATE
        now_ms = int(rows.received[i])
        presence = self.take(slot)
        presence.on_clock(time_ms)
        self.tell(presence, slot, request, now_ms, told)
        newest_ping = time_ms >= presence.clock_ms
        if newest_ping and rows.user[i] >= 0 and rows.user[i] != columns["user"][slot]:
            self._hand_over(presence, slot, int(rows.user[i]), time_ms, request, told)
        if beacon is None:
            fix = Fix(time_ms, float(rows.lat[i]), float(rows.lng[i]), float(rows.accuracy[i]), fences)
            self._cross(presence, slot, fix)
            presence.on_fix(fix)
            columns["lat"][slot], columns["lng"][slot] = fix.lat, fix.lng
            columns["accuracy"][slot], columns["mocked"][slot] = fix.accuracy, rows.mocked[i]
        else:
            self._note_beacon(slot, beacon, time_ms)
            presence.on_sighting(self.view.heard.zones(beacon), time_ms, float(rows.rssi[i]))
        if newest_ping:
            columns["recv_ms"][slot] = now_ms
        self.tell(presence, slot, request, now_ms, told)
        self.put(slot, presence)
        return DONE

    def _catch_up(self, behind: dict[int, int], request: int, told: list[Transition | Moved]) -> None:
        """At the end of a request, fire the timers that are due already: those of rows older than their device's clock.

        `behind` maps slots to when the rows were received. Without this, the next step would: how requests are gathered
        into steps must change nothing.
        """
        columns = self.devices.columns
        for slot, now_ms in behind.items():
            presence = self.take(slot)
            presence.on_clock(presence.clock_ms + now_ms - int(columns["recv_ms"][slot]))
            self.tell(presence, slot, request, now_ms, told)
            self.put(slot, presence)
        behind.clear()

    def _cross(self, presence: Presence, slot: int, fix: Fix) -> None:
        columns = self.devices.columns
        before_ms = int(columns["usable_ms"][slot])
        where = (float(columns["usable_lat"][slot]), float(columns["usable_lng"][slot]))
        before = Fix(before_ms, *where, float(columns["usable_accuracy"][slot]), ())
        for fence in crossed(self.view, None if before_ms == NEVER else before, fix):
            presence.told.append(Change(Kind.CROSSED, fence, fix.time_ms, "fix", fix.time_ms))
        if not fix.accuracy > self.view.crossing_accuracy_m:
            columns["usable_ms"][slot] = fix.time_ms
            columns["usable_lat"][slot], columns["usable_lng"][slot] = fix.lat, fix.lng
            columns["usable_accuracy"][slot] = fix.accuracy

    def _note_beacon(self, slot: int, beacon: str, time_ms: int) -> None:
        heard = self.beacons.setdefault(slot, {})
        heard[beacon] = time_ms
        if len(heard) > _BEACONS_MAX:
            del heard[min(heard, key=lambda b: (heard[b], b))]

    def _hand_over(
        self,
        presence: Presence,
        slot: int,
        user: int,
        time_ms: int,
        request: int,
        told: list[Transition | Moved],
    ) -> None:
        before = self.devices.user_of(slot)
        self.devices.columns["user"][slot] = user
        places = tuple(self.places(presence))
        if places:  # else nobody need know, as of a fix that is not worked
            told.append(
                Moved(self.devices.names[slot], before, self.devices.user_names[user], time_ms, places, request)
            )

    def places(self, presence: Presence) -> Iterator[tuple[str, int]]:
        """Where a device is: (place id, entered_ms) of each."""
        for fence, row in presence.rows.items():
            if row.entered_ms is not None:
                yield self.view.places[fence].id, row.entered_ms
        for number, signal in presence.signals.items():
            if signal.entered_ms is not None:
                yield self.view.zones[number].place.id, signal.entered_ms

    # -- one device, taken out and put back ------------------------------------------------------------------------

    def take(self, slot: int) -> Presence:
        """A device, out of the table."""
        columns = self.devices.columns
        return Presence(
            self.view,
            self.devices.load(slot),
            self.signals.get(slot, {}),
            int(columns["clock_ms"][slot]),
            int(columns["fix_ms"][slot]),
            self._own_due_ms(slot),
        )

    def put(self, slot: int, presence: Presence) -> None:
        """A device, back into the table, with its timers."""
        columns = self.devices.columns
        signals = {
            z: s
            for z, s in presence.signals.items()
            if s.entered_ms is not None or presence.clock_ms - s.recent[-1][0] <= _HEARD_MS
        }
        if signals:
            self.signals[slot] = signals
        else:
            self.signals.pop(slot, None)
        self.devices.save(slot, presence.sorted_rows())
        columns["clock_ms"][slot], columns["fix_ms"][slot] = presence.clock_ms, presence.fix_ms
        columns["busy"][slot] = presence.busy()
        columns["timer_ms"][slot], columns["quiet_ms"][slot] = presence.next_timer_ms(), presence.quiet_ms()
        self._schedule(slot)

    def tell(self, presence: Presence, slot: int, request: int, now_ms: int, told: list[Transition | Moved]) -> None:
        """Turn what the machine told so far into transitions of the device's present user."""
        if not presence.told:
            return
        device, user = self.devices.names[slot], self.devices.user_of(slot)
        accuracy = float(self.devices.columns["accuracy"][slot])
        for change in presence.told:
            place = self.view.places[change.place]
            if change.kind is Kind.CROSSED:
                episode, made = "", h(device, place.id, str(change.time_ms), change.kind.value)
            else:
                episode = episode_id(device, place.id, change.entered_ms)
                parts = (change.kind.value,) if change.dwell_ms is None else (change.kind.value, str(change.dwell_ms))
                made = h(episode, *parts)
            told.append(
                Transition(
                    made, episode, device, user, place, change.kind, change.time_ms, change.cause, change.entered_ms,
                    change.dwell_ms, None if accuracy != accuracy else accuracy,
                    bool(self.devices.columns["mocked"][slot]), request, now_ms,
                )
            )  # fmt: skip
        presence.told.clear()

    def present(self, places: Sequence[int]) -> list[tuple[int, int, int]]:
        """Who is at any of these places: (slot, place number, entered_ms) of each device."""
        fences = self.view.fence_count
        found = self.devices.inside(np.array([n for n in places if n < fences], np.int32))
        zones = {n - fences for n in places if n >= fences}
        if zones:
            for slot, signals in self.signals.items():
                for number, signal in signals.items():
                    if number in zones and signal.entered_ms is not None:
                        found.append((slot, fences + number, signal.entered_ms))
        return found

    # -- timers on the machine's clock -----------------------------------------------------------------------------

    def next_due_ms(self) -> int | None:
        """When the next device timer may be due, by the machine's clock; None when none runs."""
        return self._heap[0][0] if self._heap else None

    def fire(self, until_ms: int, now_ms: int) -> list[Transition | Moved]:
        """Fire the device timers due by `until_ms`, as told at `now_ms`."""
        told: list[Transition | Moved] = []
        columns = self.devices.columns
        while self._heap and self._heap[0][0] <= until_ms:
            due_ms, slot = heappop(self._heap)
            if self._pushed.get(slot) != due_ms:
                continue
            del self._pushed[slot]
            if self._due_ms(slot) <= until_ms:
                presence = self.take(slot)
                presence.on_clock(presence.clock_ms + until_ms - int(columns["recv_ms"][slot]))
                self.tell(presence, slot, NO_REQUEST, now_ms, told)
                self.put(slot, presence)
            else:
                self._schedule(slot)
        return in_order(told)

    def _own_due_ms(self, slot: int) -> int:
        """When the device's next timer is due, on its own clock."""
        columns = self.devices.columns
        quiet_ms = int(columns["quiet_ms"][slot])
        return min(int(columns["timer_ms"][slot]), int(columns["clock_ms"][slot]) + quiet_ms if quiet_ms < FAR else FAR)

    def _due_ms(self, slot: int) -> int:
        """When the device's next timer is due by the machine's clock: its own clock runs on from what was received."""
        due_ms = self._own_due_ms(slot)
        columns = self.devices.columns
        return FAR if due_ms >= FAR else int(columns["recv_ms"][slot]) + due_ms - int(columns["clock_ms"][slot])

    def _schedule(self, slot: int) -> None:
        """Have the device looked at when its next timer is due. One entry a device; an earlier one replaces it."""
        due_ms = self._due_ms(slot)
        if due_ms < self._pushed.get(slot, FAR):
            self._pushed[slot] = due_ms
            heappush(self._heap, (due_ms, slot))

    def forget(self, user: str) -> list[str]:
        """Forget a user's devices, as if they had never been heard of; nothing is told. Returns their names."""
        theirs = self.devices.forget_user(user)
        for slot in theirs:
            self.signals.pop(slot, None)
            self.beacons.pop(slot, None)
            self._pushed.pop(slot, None)
        return list(theirs.values())

    def reschedule(self) -> None:
        """Put every device's timers anew, as after an edit of the site or a restart."""
        self._heap.clear()
        self._pushed.clear()
        columns = self.devices.columns
        used = slice(0, len(self.devices))
        runs = (columns["timer_ms"][used] < FAR) | (columns["quiet_ms"][used] < FAR)
        for slot in np.nonzero(runs)[0].tolist():
            self._schedule(slot)


#: The device columns that the sieve reads and writes, in its order.
_HELD = (
    "clock_ms", "recv_ms", "fix_ms", "lat", "lng", "accuracy", "mocked", "usable_ms", "usable_lat", "usable_lng",
    "usable_accuracy",
    "user", "busy", "timer_ms", "quiet_ms", "block", "rows",
)  # fmt: skip


class _Rows:
    """A batch with its names turned into the table's numbers."""

    def __init__(self, batch: Located, devices: Devices, now_ms: int) -> None:
        self.strings = batch.strings
        self.device = _renumber(batch.column("device"), batch.strings, devices.slot)
        self.user = _renumber(batch.column("user"), batch.strings, devices.user_number)
        self.beacon = batch.column("beacon")
        self.time = batch.column("time")
        self.accuracy = batch.column("accuracy")
        self.rssi = batch.column("rssi")
        self.mocked = batch.column("mocked")
        self.received = batch.column("received") if batch.received else np.full(self.time.size, now_ms, np.int64)
        self.sighting = (self.beacon != NONE).astype(np.uint8)
        self.lat, self.lng = batch.column("lat"), batch.column("lng")
        if self.sighting.any():  # a sighting has no point: it is matched with nothing
            self.lat = np.where(self.sighting, 0.0, self.lat)
            self.lng = np.where(self.sighting, 0.0, self.lng)
        self.code = np.zeros(self.time.size, np.uint8)

    def beacon_of(self, i: int) -> str | None:
        """The beacon of a sighting, None for a fix."""
        number = int(self.beacon[i])
        return None if number == NONE else self.strings[number]


def _renumber(column: Array, strings: list[str], number: Any) -> Array:
    """From numbers of the batch's table to the engine's own; `NONE` stays."""
    known = {at: NONE if at == NONE else number(strings[at]) for at in dict.fromkeys(column.tolist())}
    if len(known) == 1:
        return np.full(column.size, next(iter(known.values())), np.int32)
    table = np.full(len(strings) + 1, NONE, np.int32)
    table[list(known)] = list(known.values())
    return table[column]


def _count(code: Array, borders: list[int]) -> Counted:
    ends = np.array([0, *borders])

    def each(what: Array) -> Array:
        return np.diff(np.concatenate([_ZERO, np.cumsum(what)])[ends])

    rows = np.diff(ends)
    if not code.any():
        return Counted(rows, np.zeros_like(rows), np.zeros_like(rows))
    duplicate = each(code == DUPLICATE)
    return Counted(rows - duplicate, duplicate, each(code == LATE))


_ZERO = np.zeros(1, np.int64)

#: At one instant a dwell is told before the exit that ends its stay, and an exit before an enter.
_RANK = {Kind.DWELLED: 1, Kind.EXITED: 2, Kind.ENTERED: 3, Kind.CROSSED: 4}


def in_order(told: list[Transition | Moved]) -> list[Transition | Moved]:
    """What was told, by request, time and device; at one instant nothing is moved past a change of hands."""
    hands: dict[tuple[int, int, str], int] = {}
    keyed: list[tuple[int, int, str, int, int, str, Transition | Moved]] = []
    for item in told:
        at = item.request, item.time_ms, item.device
        if isinstance(item, Moved):
            hands[at] = hands.get(at, 0) + 1
            keyed.append((*at, hands[at], 0, "", item))
        else:
            keyed.append((*at, hands.get(at, 0), _RANK[item.kind], item.place.id, item))
    return [entry[-1] for entry in sorted(keyed, key=itemgetter(0, 1, 2, 3, 4, 5))]
