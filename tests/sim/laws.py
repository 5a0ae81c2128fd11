"""The laws, held against each step: its inputs on one side, what it told and decided on the other.

Owns the walk over a step, in the contract's order, and the facts about users that it gathers on the way. Must not
know the engine's state: it reads inputs and effects alone. A law that is broken raises `LawError`.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

from engine.wire import Edited, Ended, Erased, Happened, Input, Located, Resent, UserChanged
from tests.sim.law import digest, hold
from tests.sim.law_of_devices import NO_FIX, Devices, HandOver
from tests.sim.law_of_rules import Book, Held, Person, What, ms_of
from tests.sim.law_of_stays import Stays

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.ports import Delivery
    from engine.step import Effects
    from engine.told import Transition
    from rules.facts import Decision
    from tests.sim.town import Town

_RANK = {"dwelled": 1, "exited": 2, "entered": 3, "crossed": 4}
_HANDED_OVER = ("delivered", "unknown")


@dataclass
class Laws:
    """All laws, and what they have seen. `known_towns` are the versions by name, `tally` counts decisions by reason."""

    town: Town
    known_towns: dict[str, Town]
    now_ms: int
    stays: Stays = field(default_factory=Stays)
    devices: Devices = field(default_factory=Devices)
    people: dict[str, Person] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)
    counted: list[int] = field(default_factory=lambda: [0, 0, 0])
    rows: int = 0
    book: Book = field(init=False)
    _keys: dict[str, str] = field(default_factory=dict)
    _open: dict[str, tuple[Person, Held]] = field(default_factory=dict)
    _delivery: dict[str, str] = field(default_factory=dict)  # pending delivery: its decision
    _holder: dict[str, str] = field(default_factory=dict)  # device: its user, as far as the walk has come
    _told: deque[Transition] = field(default_factory=deque)
    _decided: deque[Decision] = field(default_factory=deque)
    _made: deque[Delivery] = field(default_factory=deque)
    _ended: deque[Any] = field(default_factory=deque)
    _fresh: deque[bool] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.book = Book(self.town)
        self.stays.devices = self.devices

    def person(self, name: str) -> Person:
        """What is known of a user."""
        return self.people.setdefault(name, Person(name))

    def see(self, inputs: Sequence[Input], effects: Effects, now_ms: int) -> None:
        """One step: all that it did must be what the contract asks, and nothing may be left over."""
        hold(now_ms >= self.now_ms, "the journal's instants only grow", now_ms, self.now_ms)
        self._told, self._decided = deque(effects.transitions), deque(effects.decisions)
        self._made, self._ended, self._fresh = deque(effects.deliveries), deque(effects.endings), deque(effects.fresh)
        self._clocks(now_ms)
        request = 0
        counted = iter(effects.counted)
        for item in inputs:
            if isinstance(item, Located):
                request = self._located(item, next(counted), request, now_ms)
            else:
                self._other(item, now_ms)
        for left in (self._told, self._decided, self._made, self._ended, self._fresh):
            hold(not left, "every effect has a cause", now_ms, left)
        self.now_ms = now_ms

    # -- timers ----------------------------------------------------------------------------------------------------

    def _clocks(self, now_ms: int) -> None:
        """What the clock alone brought: timers of devices, and instants of rules' timers."""
        rings = deque(self._due(now_ms))
        told: list[Transition] = []
        while self._told and self._told[0].request < 0 and self._told[0].cause != "edited":
            told.append(self._told.popleft())
        for group in _groups(told):
            while rings and self._rings(rings[0], now_ms):
                rings.popleft()
            self._group(group, now_ms)
        while rings:
            hold(self._rings(rings[0], now_ms), "a timer rings for everybody it concerns", rings[0], now_ms)
            rings.popleft()

    def _due(self, now_ms: int) -> list[Any]:
        due = self.book.instants(self.now_ms, now_ms)
        return [d for d in due if now_ms - d[0] <= ms_of(d[1].get("max_event_age", "15m"))]

    def _rings(self, ring: Any, now_ms: int) -> bool:
        """Whether the decisions that come next are all those of a timer's instant, and no others; then take them."""
        at_ms, rule, watched = ring
        wanted = self._concerned(at_ms, rule, watched)
        found = {}
        for decision in self._decided:
            occasion = decision.occasion
            if occasion.kind.value != "timer" or decision.rule != rule["id"] or occasion.time_ms != at_ms:
                break
            hold(decision.user not in found, "one occasion for each user and instant", decision)
            found[decision.user] = (None if occasion.place is None else occasion.place.id, occasion.device)
        if found != wanted:
            return False
        for user, (place, device) in wanted.items():
            fix = self.devices.fix.get(device or "", NO_FIX)
            what = What(
                "timer", digest(user, str(at_ms)), at_ms, place, accuracy_m=fix.accuracy_m, mocked=fix.mocked,
                located=device is not None,
            )  # fmt: skip
            self._judged(rule, what, self.person(user), now_ms)
        return True

    def _concerned(self, at_ms: int, rule: Any, watched: dict[str, list[str] | None]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if None in watched.values():
            found = dict.fromkeys(sorted(self.people), (None, None))
        places = {place for listed in watched.values() if listed is not None for place in listed}
        within = [t["seen_within"] for t in self.book.triggers(rule) if "seen_within" in t]
        seen_ms = at_ms - ms_of(within[0]) if within else -(10**18)
        latest: dict[str, tuple[int, str, str]] = {}
        for (device, place), stay in self.stays.open.items():
            if place in places and stay.entered_ms <= at_ms and self.devices.clock[device] >= seen_ms:
                user = self.devices.user(device)
                latest[user] = max(latest.get(user, (-(10**18), "", "")), (stay.entered_ms, place, device))
        return dict(sorted((found | {user: (p, d) for user, (_, p, d) in latest.items()}).items()))

    # -- pings -----------------------------------------------------------------------------------------------------

    def _located(self, item: Located, counted: Any, first: int, now_ms: int) -> int:
        wanted, handed = self.devices.take(item, first)
        found = [list(c) for c in zip(counted.accepted.tolist(), counted.duplicate.tolist(), counted.late.tolist(),
                                      strict=True)]  # fmt: skip
        hold(found == wanted, "accepted, duplicate and late are counted for each request", found, wanted)
        rows = item.borders[-1]
        hold(sum(c[0] + c[1] for c in found) == rows, "rows = accepted + duplicate", found, rows)
        self.rows += rows
        self.counted = [a + sum(c[n] for c in found) for n, a in enumerate(self.counted)]
        last = first + len(item.borders)
        told: list[Transition | HandOver] = list(handed)
        while self._told and first <= self._told[0].request < last:
            told.append(self._told.popleft())
        moved = {(item.request, item.time_ms, item.device) for item in handed}
        before = [t for t in told if not isinstance(t, HandOver) and (t.request, t.time_ms, t.device) not in moved]
        hold(before == sorted(before, key=_order), "occasions come in order", before)
        told.sort(key=_instant)
        for group in _groups(told):
            self._group(group, now_ms)
        return last

    def _group(self, group: list[Transition | HandOver], now_ms: int) -> None:
        """All that one device did at one instant holds before any of it is judged."""
        told: deque[Transition] = deque(item for item in group if not isinstance(item, HandOver))
        judged = list(told)
        for item in group:
            if isinstance(item, HandOver):  # timers that were due by then are told before it
                while told and told[0].user == item.before:
                    self._apply(told.popleft())
                self._hand_over(item)
        for left in told:
            self._apply(left)
        for item in sorted(judged, key=lambda t: (t.place.id, t.kind.value)):
            what = What(
                item.kind.value, item.id, item.time_ms, item.place.id, item.dwell_ms, item.cause, item.accuracy_m,
                item.mocked,
            )  # fmt: skip
            for rule in self.book.judging(what):
                self._judged(rule, what, self.person(item.user), now_ms)

    def _apply(self, item: Transition) -> None:
        owner = self._holder.get(item.device, item.device)
        hold(item.user == owner, "a transition belongs to the user held at that moment", item, owner)
        self.stays.see(item)
        inside = self.person(item.user).inside
        if item.kind.value == "entered":
            inside[item.place.id] = inside.get(item.place.id, 0) + 1
        elif item.kind.value == "exited":
            self._leave(item.user, item.place.id, item)

    def _hand_over(self, item: HandOver) -> None:
        self._holder[item.device] = item.after
        for device, place in self.stays.open:
            if device == item.device:
                self._leave(item.before, place, item)
                inside = self.person(item.after).inside
                inside[place] = inside.get(place, 0) + 1

    def _leave(self, user: str, place: str, why: object) -> None:
        inside = self.person(user).inside
        hold(inside.get(place, 0) > 0, "who leaves was inside", user, place, why)
        inside[place] -= 1

    # -- the other inputs ------------------------------------------------------------------------------------------

    def _other(self, item: Input, now_ms: int) -> None:
        match item:
            case UserChanged():
                self._changed(item)
            case Happened():
                self._happened(item, now_ms)
            case Edited():
                self._edited(item, now_ms)
            case Ended():
                self._end(item, now_ms)
            case Resent():
                self._resent(item, now_ms)
            case Erased():
                self._erased(item)

    def _changed(self, item: UserChanged) -> None:
        person = self.person(item.user)
        for into, changes in ((person.consent, item.consent), (person.attributes, item.attributes)):
            for name, value in changes.items():
                if value is None:
                    into.pop(name, None)
                else:
                    into[name] = value
        if item.timezone is not msgspec.UNSET:
            person.timezone = item.timezone

    def _happened(self, item: Happened, now_ms: int) -> None:
        person = self.person(item.user)
        fresh = item.id not in person.event_ids
        hold(self._fresh.popleft() is fresh, "a repeated (user, id) is a duplicate", item)
        if not fresh:
            return
        person.event_ids.add(item.id)
        person.events.append((item.time_ms, item.type))
        what = What("event", digest(item.user, item.id), item.time_ms, located=False, type=item.type, data=item.data)
        for rule in self.book.judging(what):
            self._judged(rule, what, person, now_ms)

    def _edited(self, item: Edited, now_ms: int) -> None:
        self.town = self.known_towns[item.version]
        self.stays.edits += 1
        self.book = Book(self.town, self.book)
        stopped = {key for key, (_, held) in self._open.items() if held.rule not in self.book.rules}
        self._cancelled({k for key in stopped for k in self._open[key][1].pending})
        told: list[Transition | HandOver] = []
        while self._told and self._told[0].cause == "edited":
            told.append(self._told.popleft())
        for group in _groups(told):
            self._group(group, now_ms)
        gone = [key for key in self.stays.open if key[1] not in self.book.places]
        hold(not gone, "presence at a place ends with the place", gone)

    def _cancelled(self, keys: set[str]) -> None:
        """These deliveries end in this very step, as cancelled."""
        for _ in range(len(keys)):
            hold(bool(self._ended), "what is stopped is cancelled", keys)
            ending = self._ended.popleft()
            hold(ending.key in keys and ending.state.value == "cancelled", "what is stopped is cancelled", ending)
            keys.discard(ending.key)
            self._settle(ending.key, "cancelled")

    def _end(self, item: Ended, now_ms: int) -> None:
        if item.key not in self._delivery:
            return
        hold(bool(self._ended), "an outcome is recorded", item)
        ending = self._ended.popleft()
        seen = (ending.key, ending.state.value, ending.at_ms)
        hold(seen == (item.key, item.outcome, now_ms), "an outcome is recorded", seen, item)
        self._settle(item.key, item.outcome)

    def _settle(self, key: str, outcome: str) -> None:
        decision = self._delivery.pop(key)
        person, held = self._open[decision]
        held.pending.discard(key)
        held.handed_over = held.handed_over or outcome in _HANDED_OVER
        if not held.pending:
            del self._open[decision]
            if not held.handed_over:
                person.held.remove(held)

    def _resent(self, item: Resent, now_ms: int) -> None:
        if item.rule not in self.book.rules:
            return  # its rule was stopped between the wish and this step
        person = self.person(item.user)
        held = next((h for h in person.held if h.key == item.decision), None)
        if held is None:
            held = Held(item.decision, item.rule, item.tags, item.place, now_ms, item.test, set())
            person.held.append(held)
        held.pending.add(item.key)
        self._open[item.decision] = person, held
        self._delivery[item.key] = item.decision

    def _erased(self, item: Erased) -> None:
        theirs = {key for key, (person, _) in self._open.items() if person.name == item.user}
        self._cancelled({k for key in theirs for k in self._open[key][1].pending})
        self.people.pop(item.user, None)
        for device in self.devices.erase(item.user):
            self.stays.forget(device)
            self._holder.pop(device, None)
        self._keys = {key: user for key, user in self._keys.items() if user != item.user}

    # -- decisions -------------------------------------------------------------------------------------------------

    def _judged(self, rule: dict[str, Any], what: What, person: Person, now_ms: int) -> None:
        """The next decision must be the one of this rule on this occasion, for the one right reason."""
        hold(bool(self._decided), "every rule that points at an occasion decides", rule["id"], what)
        decision = self._decided.popleft()
        reason = self.book.reason(rule, what, person, now_ms)
        key = digest(rule["id"], person.name, what.id)
        seen = (decision.key, decision.rule, decision.user, decision.reason.value, decision.time_ms)
        wanted = (key, rule["id"], person.name, reason, now_ms)
        hold(seen == wanted, "one decision, one reason", seen, wanted, what, decision.clause, decision.values, person)
        hold((decision.outcome.value == "send") is (reason == "sent"), "the outcome follows from the reason", decision)
        hold(key not in self._keys, "one decision for each rule and occasion", decision)
        self._keys[key] = person.name
        self.tally[reason] = self.tally.get(reason, 0) + 1
        if reason == "sent":
            self._sent(rule, what, person, decision, now_ms)

    def _sent(self, rule: dict[str, Any], what: What, person: Person, decision: Decision, now_ms: int) -> None:
        test = rule["state"] == "test"
        held = Held(decision.key, rule["id"], rule.get("tags", []), what.place, now_ms, test, set())
        for n, action in enumerate(rule["actions"]):
            ((channel, about),) = action.items()
            hold(bool(self._made), "each action of a send makes a delivery", decision)
            made = self._made.popleft()
            seen = (made.key, made.decision, made.user, made.channel, made.created_ms, made.expires_ms)
            until_ms = now_ms + ms_of(about.get("ttl", "1h"))
            wanted = (digest(decision.key, str(n)), decision.key, person.name, channel, now_ms, until_ms)
            hold(seen == wanted, "a delivery is its action's", seen, wanted)
            held.pending.add(made.key)
            self._delivery[made.key] = decision.key
        person.held.append(held)
        self._open[decision.key] = person, held


def _instant(item: Transition | HandOver) -> tuple[int, int, str]:
    return item.request, item.time_ms, item.device


def _order(item: Transition) -> tuple[int, int, str, int, str]:
    return *_instant(item), _RANK[item.kind.value], item.place.id


def _groups(told: Sequence[Transition | HandOver]) -> list[list[Any]]:
    return [list(g) for _, g in groupby(told, key=_instant)]
