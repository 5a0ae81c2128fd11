"""An edit of the site: what it does to those who are present.

Owns the change from one numbering of places to the next, and presence that begins or ends because a place appeared,
moved or went. Must not know rules, but for the dwell times that they ask for. Instants are epoch milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.devices import Row
from engine.fast import NEVER
from engine.presence import Change, Presence
from engine.sense import NO_REQUEST, Moved, Sense, Transition, in_order
from engine.view import view_of
from geo.shape import same_shape
from rules.facts import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.site import Site
    from engine.zones import Signal


def edit(sense: Sense, old: Site, new: Site, now_ms: int) -> list[Transition | Moved]:
    """Bring `sense` from the old site to the new one; returns the transitions that this causes, in order."""
    work = _Edit(sense, old, new)
    told: list[Transition | Moved] = []
    for slot in work.concerned():
        work.device(slot, now_ms, told)
    sense.view = work.after
    sense.reschedule()
    return in_order(told)


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
        used = len(self.sense.devices)
        slots = set(np.nonzero(columns["rows"][:used])[0].tolist()) | self.sense.signals.keys()
        if self.changed:
            fixed = np.nonzero(columns["fix_ms"][:used] != NEVER)[0]
            offsets, fences = self.after.index.match(columns["lat"][fixed], columns["lng"][fixed])
            hit = np.isin(fences, np.array(sorted(self.changed), np.int32))
            at = np.repeat(np.arange(len(fixed)), np.diff(offsets))
            for i, fence in zip(at[hit].tolist(), fences[hit].tolist(), strict=True):
                self.inside.setdefault(int(fixed[i]), set()).add(fence)
            slots |= self.inside.keys()
        return sorted(slots)

    def device(self, slot: int, now_ms: int, told: list[Transition | Moved]) -> None:
        """Renumber one device's rows; end and begin presence as the edit asks."""
        sense = self.sense
        columns = sense.devices.columns
        presence = sense.take(slot)
        at_ms = presence.clock_ms + now_ms - int(columns["recv_ms"][slot])
        inside = self.inside.get(slot, set())
        signals = self._signals(presence, at_ms)
        held = {self.after.holds[z] for z, s in signals.items() if s.entered_ms is not None}
        rows = self._rows(presence, inside | held, at_ms)
        sense.view = self.before
        sense.tell(presence, slot, NO_REQUEST, now_ms, told)
        fresh = Presence(self.after, rows, signals, presence.clock_ms, presence.fix_ms)
        accuracy = float(columns["accuracy"][slot])
        for fence in sorted(inside - fresh.rows.keys()):
            detection = self.after.detections[fence]
            usable = detection.instant or not accuracy > detection.max_accuracy_m
            if usable and at_ms - presence.fix_ms <= detection.silence_ms:
                fresh.rows[fence] = Row(fence, entered_ms=at_ms)
                fresh.told.append(Change(Kind.ENTERED, fence, at_ms, "edited", at_ms))
        sense.view = self.after
        sense.tell(fresh, slot, NO_REQUEST, now_ms, told)
        sense.put(slot, fresh)

    def _rows(self, presence: Presence, stays: set[int], at_ms: int) -> list[Row]:
        rows = []
        for row in presence.rows.values():
            fence = self.fence.get(row.fence)
            gone = fence is None or (fence in self.changed and fence not in stays)
            if gone and row.entered_ms is not None:
                left_ms = max(at_ms, row.entered_ms)  # an earlier edit may have begun it ahead of the device's clock
                presence.told.append(Change(Kind.EXITED, row.fence, left_ms, "edited", row.entered_ms))
            if gone or fence is None or (row.entered_ms is None and fence in self.changed):
                continue
            if row.entered_ms is not None and not row.waits:
                row.dwelled_ms = self._skip(row.fence, fence, row.dwelled_ms, at_ms - row.entered_ms)
            row.fence = fence
            rows.append(row)
        return sorted(rows, key=lambda row: row.fence)

    def _signals(self, presence: Presence, at_ms: int) -> dict[int, Signal]:
        signals = {}
        for number, signal in presence.signals.items():
            zone = self.zone.get(number)
            place = self.before.fence_count + number
            if zone is not None:
                if signal.entered_ms is not None and not signal.waits:
                    after = self.after.fence_count + zone
                    signal.dwelled_ms = self._skip(place, after, signal.dwelled_ms, at_ms - signal.entered_ms)
                signals[zone] = signal
            elif signal.entered_ms is not None:
                presence.told.append(Change(Kind.EXITED, place, at_ms, "edited", signal.entered_ms))
        return signals

    def _skip(self, before: int, after: int, dwelled_ms: int, elapsed_ms: int) -> int:
        """A dwell time already past when its rule appears is not told."""
        return dwelled_ms if self.before.dwells[before] == self.after.dwells[after] else max(dwelled_ms, elapsed_ms)
