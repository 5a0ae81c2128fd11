"""The timers of rules: when a `timer` trigger rings, and who is concerned.

Owns the queue of instants. Must not know how an occasion is judged. An instant rings once: the queue goes on from the
last step's `now`, so one missed while the process was down rings at the first step after, if `max_event_age` allows.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import msgspec

from rules.windows import next_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.sense import Sense
    from engine.site import Site
    from rules.model import Rule, Trigger
    from rules.place import Place


class Concerned(msgspec.Struct, frozen=True, gc=False):
    """A user whom a timer's instant concerns: the place entered last, of those where its timers look, and the device.

    `accuracy_m` (None: unknown) and `mocked` are those of the device's newest fix. Who is in no such place has none of
    this.
    """

    user: str
    device: str | None = None
    place: Place | None = None
    accuracy_m: float | None = None
    mocked: bool = False


@dataclass(frozen=True, slots=True)
class Rang:
    """A timer's instant. `inside` has each user who is where the rule's timers look.

    With `everybody`, all other users are concerned too. `trigger` is the first of those that ring.
    """

    rule: Rule
    trigger: Trigger
    time_ms: int
    everybody: bool
    inside: tuple[Concerned, ...]


@dataclass(slots=True)
class Timers:
    """The next instant of each timer trigger, in each time zone of the places it watches.

    Of rules that ring at one instant the one that decides first comes first: an instant is one occasion to all of them.
    """

    site: Site
    _queue: list[tuple[int, int, int, str]] = field(default_factory=list)
    """(instant, the turn of the rule: the first decides first, index of the trigger in the rule, time zone)"""
    _by_turn: dict[tuple[int, int], tuple[Rule, Trigger]] = field(default_factory=dict)

    def start(self, after_ms: int) -> None:
        """Queue the first instants after `after_ms`, as at the start or after an edit of the site."""
        self._queue.clear()
        self._by_turn.clear()
        order: dict[str, int] = {}
        for rule, trigger in self.site.rules.timers:
            key = (order.setdefault(rule.id, len(order)), trigger.index)
            self._by_turn[key] = (rule, trigger)
            for zone in self.site.rules.timer_zones(trigger):
                self._queue.append((_next(trigger, after_ms, zone), *key, zone.key))
        heapify(self._queue)

    def next_due_ms(self) -> int | None:
        """The next instant; None when no rule has a timer."""
        return self._queue[0][0] if self._queue else None

    def ring(self, sense: Sense, now_ms: int) -> Rang | None:
        """The next instant of a rule due by `now_ms` with those concerned; None when there is none left.

        All triggers and time zones of a rule that meet at one instant ring as one.
        """
        while self._queue and self._queue[0][0] <= now_ms:
            time_ms, turn = self._queue[0][:2]
            ringing = []
            while self._queue and self._queue[0][:2] == (time_ms, turn):
                _, _, index, zone = heappop(self._queue)
                rule, trigger = self._by_turn[turn, index]
                ringing.append((trigger, zone))
                heappush(self._queue, (_next(trigger, time_ms, ZoneInfo(zone)), turn, index, zone))
            if now_ms - time_ms > rule.max_event_age_ms:
                continue
            everybody = any(trigger.inside is None for trigger, _ in ringing)
            return Rang(rule, ringing[0][0], time_ms, everybody, self._inside(sense, ringing, time_ms))
        return None

    def _inside(self, sense: Sense, ringing: Sequence[tuple[Trigger, str]], time_ms: int) -> tuple[Concerned, ...]:
        """Who is in a place that one of the triggers watches, each once, with the place entered last."""
        clock = sense.devices.columns["clock_ms"]
        latest: dict[str, tuple[int, str, str, Place, int]] = {}
        for trigger, zone in ringing:
            if trigger.inside is None:
                continue
            watched = {
                n: p
                for n, p in enumerate(sense.view.places)
                if trigger.inside.covers(p) and self._rings_in(trigger, p, zone)
            }
            seen_ms = time_ms - trigger.seen_within_ms if trigger.seen_within_ms is not None else None
            for slot, number, entered_ms in sense.present(tuple(watched)):
                if entered_ms > time_ms or (seen_ms is not None and int(clock[slot]) < seen_ms):
                    continue
                user, place = sense.devices.user_of(slot), watched[number]
                entry = (entered_ms, place.id, sense.devices.names[slot], place, slot)
                if user not in latest or entry[:3] > latest[user][:3]:
                    latest[user] = entry
        return tuple(_concerned(sense, user, slot, place) for user, (_, _, _, place, slot) in sorted(latest.items()))

    def _rings_in(self, trigger: Trigger, place: Place, zone: str) -> bool:
        return trigger.timezone is not None or self.site.rules.zone_of(place).key == zone


def _concerned(sense: Sense, user: str, slot: int, place: Place) -> Concerned:
    columns = sense.devices.columns
    accuracy = float(columns["accuracy"][slot])
    known = accuracy if accuracy == accuracy else None
    return Concerned(user, sense.devices.names[slot], place, known, bool(columns["mocked"][slot]))


def _next(trigger: Trigger, after_ms: int, zone: ZoneInfo) -> int:
    return next_instant(trigger.days, trigger.at_ms, after_ms, zone)
