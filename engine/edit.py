"""An edit of the site: what it does to those who are present.

Owns the change from one numbering of places to the next, and presence that begins or ends because a place appeared,
moved or went. Must not know rules, but for the dwell times that they ask for. Instants are epoch milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.batch import NO_REQUEST
from engine.devices import Row
from engine.hearing import Hearing
from engine.layout import BY_TIMER, DWELLED, EDITED, ENTERED, EXITED, NEVER, NONE
from engine.presence import tell
from engine.told import tellings_of
from engine.view import rank_of, view_of
from engine.zones import strength
from geo.shape import same_shape

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.sense import Sense
    from engine.site import Site
    from engine.told import Telling
    from engine.zones import Signal


def edit(sense: Sense, old: Site, new: Site, now_ms: int) -> list[Telling]:
    """Bring `sense` from the old site to the new one; returns the transitions that this causes, in order."""
    work = _Edit(sense, old, new)
    sense.look(work.after)
    for slot in work.concerned():
        work.device(slot, now_ms)
    sense.reschedule()
    places = work.before.places + work.after.places
    return tellings_of(sense.devices, places, rank_of(places))


class _Edit:
    def __init__(self, sense: Sense, old: Site, new: Site) -> None:
        self.sense = sense
        self.before, self.after = sense.view, view_of(new)
        shapes = {f.place.id: f.shape for f in old.fences}
        number = {place.id: n for n, place in enumerate(self.after.places)}
        fences, zones = self.after.fence_count, len(self.after.zones)
        #: Old place number to new, for fences and for zones; what went, or became the other kind, is missing.
        self.fence = {
            n: number[p.id]
            for n, p in enumerate(self.before.places[: self.before.fence_count])
            if number.get(p.id, fences) < fences
        }
        self.zone = {
            n: number[z.place.id] - fences
            for n, z in enumerate(self.before.zones)
            if 0 <= number.get(z.place.id, -1) - fences < zones
        }
        self.changed = {
            n
            for n, f in enumerate(new.fences)
            if f.place.id not in shapes or not same_shape(shapes[f.place.id], f.shape)
        }
        self.inside: dict[int, set[int]] = {}

    def concerned(self) -> Iterable[int]:
        """The devices to look at: all that are present somewhere, and those whose last fix lies in a changed fence."""
        columns = self.sense.devices.columns
        used = self.sense.devices.slots_used
        slots = set(np.nonzero(columns["rows"][:used])[0].tolist()) | self.sense.signals.keys()
        fixed = np.nonzero(columns["fix_ms"][:used] != NEVER)[0]
        if self.changed and fixed.size:
            offsets, fences = self.after.index.match(columns["lat"][fixed], columns["lng"][fixed])
            hit = np.isin(fences, np.array(sorted(self.changed), np.int32))
            at = np.repeat(np.arange(len(fixed)), np.diff(offsets))
            for i, fence in zip(at[hit].tolist(), fences[hit].tolist(), strict=True):
                self.inside.setdefault(int(fixed[i]), set()).add(fence)
            slots |= self.inside.keys()
        return sorted(slots)

    def device(self, slot: int, now_ms: int) -> None:
        """Renumber one device's rows; end and begin presence as the edit asks."""
        sense, devices = self.sense, self.sense.devices
        clock_ms, fix_ms = int(devices.columns["clock_ms"][slot]), int(devices.columns["fix_ms"][slot])
        at_ms = clock_ms + now_ms - int(devices.columns["recv_ms"][slot])
        inside = self.inside.get(slot, set())
        heard = sense.signals.get(slot, {})
        devices.make_room(self.after.asks, slot, len(inside) + len(heard))
        held_before = {
            self.fence[fence]
            for z, signal in heard.items()
            if signal.entered_ms is not None and (fence := self.before.holds[z]) in self.fence
        }
        signals = self._signals(slot, heard, clock_ms, at_ms, now_ms)
        held = {self.after.holds[z] for z, s in signals.items() if s.entered_ms is not None} - {NONE}
        rows = self._rows(slot, inside | held, held, held_before - held, at_ms, now_ms)
        accuracy = float(devices.columns["accuracy"][slot])
        for fence in sorted((inside | held) - {row.fence for row in rows}):
            detection = self.after.detections[fence]
            counts = not accuracy > detection.usable_m and at_ms - fix_ms <= detection.silence_ms
            if fence in held or counts:
                rows.append(Row(fence, entered_ms=at_ms))
                self._tell(slot, ENTERED, len(self.before.places) + fence, at_ms, at_ms, now_ms)
        hearing = Hearing(self.after, devices, slot, signals, NO_REQUEST, now_ms)
        hearing.replace_rows(sorted(rows, key=lambda row: row.fence))
        sense.put(hearing)

    def _rows(
        self, slot: int, stays: set[int], held: set[int], released: set[int], at_ms: int, now_ms: int
    ) -> list[Row]:
        clock_ms = int(self.sense.devices.columns["clock_ms"][slot])
        rows = []
        for row in self.sense.devices.load(slot):
            fence = self.fence.get(row.fence)
            gone = fence is None or (fence in self.changed and fence not in stays)
            if fence in released and row.entered_ms is not None:
                gone = gone or clock_ms + self.after.detections[fence].silence_ms < at_ms
                row.row_ms = at_ms if row.count == 0 else row.row_ms
            if gone and row.entered_ms is not None:
                left_ms = max(at_ms, row.entered_ms)  # an earlier edit may have begun it ahead of the device's clock
                self._tell(slot, EXITED, row.fence, left_ms, row.entered_ms, now_ms)
            if gone or fence is None or (row.entered_ms is None and (fence in self.changed or fence in held)):
                continue
            if row.entered_ms is not None:
                row.dwelled_ms, row.waits = self._dwells(
                    row.fence, fence, row.dwelled_ms, at_ms - row.entered_ms, row.waits
                )
                if fence in held:
                    self._hold(slot, row, fence, at_ms, now_ms)
            row.fence = fence
            rows.append(row)
        return rows

    def _hold(self, slot: int, row: Row, fence: int, at_ms: int, now_ms: int) -> None:
        """A zone holds the device there, which counts as a fix: no fix before it leads out, and no dwell waits."""
        row.count = row.row_ms = 0
        if not row.waits or row.entered_ms is None:
            return
        row.waits, place = False, len(self.before.places) + fence
        for dwell_ms in self.after.dwells[fence]:
            if row.dwelled_ms < dwell_ms <= at_ms - row.entered_ms:
                row.dwelled_ms = dwell_ms
                state = self.sense.devices.state
                tell(state, slot, DWELLED, place, at_ms, BY_TIMER, row.entered_ms, dwell_ms, NO_REQUEST, now_ms)

    def _signals(
        self, slot: int, heard: dict[int, Signal], clock_ms: int, at_ms: int, now_ms: int
    ) -> dict[int, Signal]:
        signals = {}
        for number, signal in heard.items():
            zone = self.zone.get(number)
            place = self.before.fence_count + number
            if zone is not None:
                if signal.entered_ms is not None:
                    after = self.after.fence_count + zone
                    signal.dwelled_ms, signal.waits = self._dwells(
                        place, after, signal.dwelled_ms, at_ms - signal.entered_ms, signal.waits
                    )
                signals[zone] = signal
            elif signal.entered_ms is not None:
                self._tell(slot, EXITED, place, max(at_ms, signal.entered_ms), signal.entered_ms, now_ms)
        return self._one_of_each_group(slot, signals, clock_ms, at_ms, now_ms)

    def _one_of_each_group(
        self, slot: int, signals: dict[int, Signal], clock_ms: int, at_ms: int, now_ms: int
    ) -> dict[int, Signal]:
        """Of zones that have become one group the strongest stays, of equals the one that was entered last."""
        best: dict[str, int] = {}

        def rank(zone: int) -> tuple[float, int, int]:
            return strength(signals[zone], clock_ms), signals[zone].entered_ms or 0, zone

        for zone, signal in signals.items():
            group = self.after.zones[zone].place.group
            if signal.entered_ms is not None and group is not None:
                best[group] = max(best.get(group, zone), zone, key=rank)
        kept = {}
        for zone, signal in signals.items():
            stays = best.get(self.after.zones[zone].place.group or "", zone)
            if signal.entered_ms is not None and stays != zone:
                place = len(self.before.places) + self.after.fence_count + zone
                self._tell(slot, EXITED, place, max(at_ms, signal.entered_ms), signal.entered_ms, now_ms)
            else:
                kept[zone] = signal
        return kept

    def _tell(self, slot: int, kind: int, place: int, time_ms: int, entered_ms: int, now_ms: int) -> None:
        tell(self.sense.devices.state, slot, kind, place, time_ms, EDITED, entered_ms, 0, NO_REQUEST, now_ms)

    def _dwells(self, before: int, after: int, dwelled_ms: int, elapsed_ms: int, waits: bool) -> tuple[int, bool]:
        """The longest dwell time told or skipped, and whether one waits. One past when its rule appears is not told.

        Where one waits that is shorter than a new one, both are told at the next fix that is in: `dwelled_ms` can skip
        the shorter times only.
        """
        old, new = self.before.dwells[before], self.after.dwells[after]
        if old == new:
            return dwelled_ms, waits
        waiting = [d for d in old if waits and dwelled_ms < d <= elapsed_ms and d in new]
        if not waiting:
            return max(dwelled_ms, elapsed_ms), False
        return max([dwelled_ms, *(d for d in new if d < waiting[0])]), True
