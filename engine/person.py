"""A person as many processes share them: one value, changed by steps that may come twice or out of turn.

Owns that value and its version, and that taking the same step again changes nothing: visits and sends count once, a
stay ends by its own begin, a field keeps what was written last in the user's own shard. Must not know where the value
is kept, nor rules. Instants are epoch milliseconds.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from engine.layout import MOVED, NEVER, WITH
from engine.people import Open, People
from rules.facts import Kind, Send, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from engine.told import Moved, Telling, Transition
    from engine.wire import Ended, Happened, Resent, UserChanged

PERSON_VERSION = 1


class Person(msgspec.Struct):
    """All that is kept of one user, but for decisions.

    `stays` maps a place to the devices that are in it, each with when it entered. `event_ids` maps an event to its time
    and the offset of its record. `marks` maps each field that somebody wrote to the offset of the record that did, in
    the user's own shard. `seen` maps a shard to its last record whose facts are in here. What happened up to
    `erased_ms` is forgotten.
    """

    user: User
    stays: dict[str, dict[str, int]] = {}
    event_ids: dict[str, tuple[int, int]] = {}
    open: dict[str, Open] = {}
    marks: dict[str, int] = {}
    seen: dict[int, int] = {}
    erased_ms: int = NEVER
    v: int = PERSON_VERSION


class _Erasure(msgspec.Struct):
    """What tells of a person's erasure alone."""

    erased_ms: int = NEVER


class PersonError(ValueError):
    """A person's value that cannot be read: broken, or of another version."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Person).decode
_decode_erasure = msgspec.msgpack.Decoder(_Erasure).decode


def pack_person(person: Person) -> bytes:
    """The person as bytes."""
    person.user.inside = {}  # it follows from the stays
    return _encode(person)


def read_person(data: bytes) -> Person:
    """Read a person. Raises `PersonError`.

    >>> read_person(pack_person(Person(User("u-1")))).user.id
    'u-1'
    """
    try:
        person = _decode(data)
    except msgspec.MsgspecError as error:
        raise PersonError(f"a person's state cannot be read: {error}") from error
    if person.v != PERSON_VERSION:
        raise PersonError(f"a person's state has version {person.v}, this program reads {PERSON_VERSION}")
    _show_stays(person)
    return person


def read_erased_ms(data: bytes) -> int:
    """Up to when a person is forgotten, for a fraction of what reading all costs. Raises `PersonError`.

    >>> read_erased_ms(pack_person(Person(User("u-1"), erased_ms=5)))
    5
    """
    try:
        return _decode_erasure(data).erased_ms
    except msgspec.MsgspecError as error:
        raise PersonError(f"a person's state cannot be read: {error}") from error


def change_person(person: Person, change: UserChanged, offset: int) -> bool:
    """Merge what somebody wrote, of the record at `offset` of the user's shard. What was written later stays.

    False when it changes nothing: it is an event that another record brought before, or the person was erased since.
    """
    if person.marks.get("", -1) > offset:
        return False
    if change.id and person.event_ids.setdefault(change.id, (change.time_ms, offset))[1] != offset:
        return False
    user, marks = person.user, person.marks
    user.known = True
    for name, into, changes in (
        ("a", user.attributes, change.attributes),
        ("t", user.tokens, change.tokens),
        ("c", user.consent, change.consent),
    ):
        for key, value in changes.items():
            if _newer(marks, f"{name}:{key}", offset):
                _set(into, key, value)
    if change.locale is not msgspec.UNSET and _newer(marks, "locale", offset):
        user.locale = change.locale
    if change.timezone is not msgspec.UNSET and _newer(marks, "timezone", offset):
        user.timezone = change.timezone
    return True


def erase_person(person: Person, offset: int, now_ms: int) -> None:
    """Forget a person, as of the record at `offset` of the user's shard. What was written later stays."""
    user, marks = person.user, person.marks
    for name, held in (("a", user.attributes), ("t", user.tokens), ("c", user.consent)):
        for key in [key for key in held if marks.get(f"{name}:{key}", -1) <= offset]:
            del held[key]
    if marks.get("locale", -1) <= offset:
        user.locale = None
    if marks.get("timezone", -1) <= offset:
        user.timezone = None
    person.marks = {name: at for name, at in marks.items() if at > offset} | {"": max(offset, marks.get("", -1))}
    user.known = len(person.marks) > 1
    person.event_ids = {i: (t, o) for i, (t, o) in person.event_ids.items() if o > offset}
    kept = [t for t, _ in person.event_ids.values()]
    user.events = [e for e in user.events if e[0] in kept]
    forget_until(person, now_ms)


def forget_until(person: Person, now_ms: int, devices: Iterable[str] | None = None) -> None:
    """Forget what happened up to `now_ms`: visits, sends, pending ones, and where these devices are, or all."""
    user = person.user
    person.erased_ms = max(person.erased_ms, now_ms)
    user.visits = [v for v in user.visits if v[0] > now_ms]
    gone = {s.key for s in user.sends if s.time_ms <= now_ms}
    user.sends = [s for s in user.sends if s.time_ms > now_ms]
    person.open = {key: entry for key, entry in person.open.items() if key not in gone}
    if devices is None:
        person.stays = {}
    else:
        known = set(devices)
        left = {p: {d: t for d, t in held.items() if d not in known} for p, held in person.stays.items()}
        person.stays = {place: held for place, held in left.items() if held}
    _show_stays(person)


@dataclass(slots=True)
class SharedPeople(People):
    """The few people whom some records concern, on loan from where all are kept.

    `shard` is the shard whose records are judged, `offset` the one that is judged now, at `now_ms`. `own` are the
    erased users whose own shard this is, `devices` those that each erased user had here.
    """

    shard: int = -1
    offset: int = -1
    now_ms: int = 0
    persons: dict[str, Person] = field(default_factory=dict)
    everyone: Sequence[str] = ()
    own: frozenset[str] = frozenset()
    devices: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def lend(self, persons: Mapping[str, Person]) -> None:
        """Take persons in; whoever is not among them is a stranger."""
        for name, person in persons.items():
            self.persons[name], self.users[name] = person, person.user

    def known(self, name: str) -> User:
        """The user, a new one of whom nothing is known if need be."""
        return self.person(name).user

    def person(self, name: str) -> Person:
        """The whole person."""
        found = self.persons.get(name)
        if found is None:
            found = self.persons[name] = Person(User(name))
            self.users[name] = found.user
        return found

    def has_seen(self, name: str) -> bool:
        """True if the facts of the record that is judged are in there already: it comes again."""
        return self.person(name).seen.get(self.shard, -1) >= self.offset

    def everybody(self) -> Iterable[str]:
        """The users whose own shard this is, as far as they are on loan."""
        return self.everyone

    def change(self, change: UserChanged) -> bool:
        """Merge what somebody wrote about a user; None removes. False when another record brought this event before."""
        person = self.person(change.user)
        is_new = change_person(person, change, self.offset)
        if change.id and is_new:
            self._prune(person)
        return is_new

    def happened(self, event: Happened) -> bool:
        """Take in an event; False when another record brought this (user, id) before."""
        person = self.person(event.user)
        if person.marks.get("", -1) > self.offset:
            return False
        known = person.event_ids.get(event.id)
        if known is not None:
            return known[1] == self.offset
        person.event_ids[event.id] = (event.time_ms, self.offset)
        insort(person.user.events, (event.time_ms, event.type))
        after_ms = person.user.events[-1][0] - self.keep_ms
        if person.user.events[0][0] <= after_ms:
            person.user.events = [e for e in person.user.events if e[0] > after_ms]
        self._prune(person)
        return True

    def _prune(self, person: Person) -> None:
        """Forget the ids of events that are older than they are kept, now and then."""
        if len(person.event_ids) % 64 == 0:
            after_ms = max(time_ms for time_ms, _ in person.event_ids.values()) - self.keep_ms
            person.event_ids = {i: at for i, at in person.event_ids.items() if at[0] > after_ms}

    def follow(self, telling: Telling, first: int, end: int) -> None:
        """Note where everybody is after the records from `first` to `end`."""
        for at, kind in enumerate(telling.records["kind"][first:end].tolist(), first):
            if kind == MOVED:
                self._moved(telling.moved(at))
            elif kind != WITH:
                self._transition(telling.transition(at))

    def look_round(self, user: User) -> None:
        """A person on loan has it with them where they are."""

    def look_back(self, user: User) -> None:
        """And where they were."""

    def _transition(self, told: Transition) -> None:
        """One of a user's devices entered or left a place."""
        person = self.person(told.user)
        if self.has_seen(told.user) or told.now_ms <= person.erased_ms:
            return
        if told.kind is Kind.ENTERED:
            person.stays.setdefault(told.place.id, {})[told.device] = told.time_ms
            self._visited(person, told.time_ms, told.place.id)
        elif told.kind is Kind.EXITED:
            _end_stay(person, told.place.id, told.device)
        _show_stays(person)

    def _moved(self, moved: Moved) -> None:
        """A device went over to another user, with all the places that it is in."""
        before, after = self.person(moved.user_from), self.person(moved.user_to)
        for place, entered_ms in moved.places:
            if not self.has_seen(moved.user_from):
                _end_stay(before, place, moved.device)
            if not self.has_seen(moved.user_to):
                after.stays.setdefault(place, {})[moved.device] = entered_ms
        _show_stays(before)
        _show_stays(after)

    def reserve(self, send: Send, user: str, keys: Iterable[str]) -> None:
        """Reserve the limits of a `send` decision whose deliveries have these keys."""
        person = self.person(user)
        if self.has_seen(user) or send.key in person.open or any(s.key == send.key for s in person.user.sends):
            return
        insort(person.user.sends, send, key=lambda s: s.time_ms)
        after_ms = send.time_ms - self.sends_ms
        if person.user.sends[0].time_ms <= after_ms:
            person.user.sends = [s for s in person.user.sends if s.time_ms > after_ms]
        person.open[send.key] = Open(user, send.rule, set(keys))

    def erase(self, name: str) -> list[str]:
        """Forget a user, or what this shard knew of them. Pending deliveries are looked at before each attempt."""
        person = self.person(name)
        if name in self.own:
            erase_person(person, self.offset, self.now_ms)
        else:
            forget_until(person, self.now_ms, self.devices.get(name, ()))
        return []

    def _visited(self, person: Person, time_ms: int, place: str) -> None:
        insort(person.user.visits, (time_ms, place))
        after_ms = person.user.visits[-1][0] - self.keep_ms
        if person.user.visits[0][0] <= after_ms:
            person.user.visits = [v for v in person.user.visits if v[0] > after_ms]


def settle(person: Person, ended: Ended) -> bool:
    """A delivery of the person ended. Once all of its decision have, the limits stand or are released."""
    people = _alone(person)
    changed = people.ended(ended)
    return changed


def reopen(person: Person, resent: Resent, now_ms: int) -> None:
    """A delivery of the person is sent again: its decision is open once more, and reserved if it was released."""
    _alone(person).resent(resent, now_ms)


def _alone(person: Person) -> People:
    """Just this person, as people that one process holds."""
    return People(users={person.user.id: person.user}, open=person.open)


def _newer(marks: dict[str, int], name: str, offset: int) -> bool:
    """Note who wrote a field last; False when what is there was written later."""
    if marks.get(name, -1) > offset:
        return False
    marks[name] = offset
    return True


def _set(into: dict[str, Any], key: str, value: Any) -> None:
    if value is None:
        into.pop(key, None)
    else:
        into[key] = value


def _end_stay(person: Person, place: str, device: str) -> None:
    held = person.stays.get(place)
    if held is not None:
        held.pop(device, None)
        if not held:
            del person.stays[place]


def _show_stays(person: Person) -> None:
    """What rules look at: how many devices are in each place, and when the last of them entered."""
    person.user.inside = {place: [len(held), max(held.values())] for place, held in person.stays.items()}
