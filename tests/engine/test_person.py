"""Steps that come twice, late or from somewhere else change a person as if each had come once, in order."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from engine.concerned import narrowed, users_of
from engine.judge import Judge
from engine.person import (
    Person,
    PersonError,
    SharedPeople,
    change_person,
    erase_person,
    pack_person,
    read_person,
    reopen,
    settle,
)
from engine.rows import columns
from engine.step import Engine, judge
from engine.wire import Ended, Happened, Resent, UserChanged
from rules.facts import User
from tests.world import T0, at, circle, files_of, rows, site_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.site import Site
    from engine.step import Sensed

RULES = """
id: enter
state: live
max_event_age: 1h
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: marketing}, {not: {inside: {id: cafe}}}]}
limits: {cooldown: none, caps: [{scope: all, max: 2, per: day}]}
actions: [{push: {template: hello, ttl: 30m}}]
---
id: buy
state: live
max_event_age: 1h
trigger: {event: purchase}
audience: {all: [{consent: marketing}, {visits: {place: {id: shop}, within: 1d, min: 1}}]}
limits: {cooldown: none}
actions: [{push: {template: hello}}]
"""


def a_site() -> Site:
    places = [circle("shop"), circle("cafe", east_m=150)]
    return site_of(files_of(places, rules=RULES, settings="detection: {preset: instant}\n"))


def sensed_of(site: Site, rng: random.Random, engine: Engine | None = None) -> list[tuple[int, Sensed]]:
    """What happened in a shard, record by record: three users, four devices, who change hands."""
    engine, found, now_ms = engine or Engine(site, T0), [], T0
    found.append((0, engine.sensed([UserChanged(f"u-{n}", {}, {"marketing": n != 2}) for n in range(3)], now_ms)))
    for offset in range(1, 40):
        now_ms += 7_000
        inputs: list[Any] = []
        if rng.random() < 0.3:
            inputs.append(Happened(f"u-{rng.randrange(3)}", f"e-{rng.randrange(12)}", "purchase", now_ms))
        pings = []
        for device in ("a", "b", "c", "d"):
            lat, lng = at(rng.choice((0, 150, 900)))
            pings.append({"device": device, "time": now_ms, "lat": lat, "lng": lng, "user": f"u-{rng.randrange(3)}"})
        inputs.append(columns([rows(pings)]))
        found.append((offset, engine.sensed(inputs, now_ms)))
    return found


def fold(site: Site, records: Sequence[tuple[int, Sensed]], kept: dict[str, bytes]) -> dict[str, tuple[str, str]]:
    """Judge records as a worker does: people read, changed and put back. Returns decisions: rule and reason by key."""
    people = SharedPeople(shard=1)
    names = {user for _, sensed in records for user in users_of(sensed)}
    people.lend({name: read_person(kept[name]) if name in kept else Person(User(name)) for name in names})
    seen = {name: people.persons[name].seen.get(1, -1) for name in names}
    made = {}
    for offset, sensed in records:
        people.offset, people.now_ms = offset, sensed.now_ms
        for decision in judge(sensed, Judge(site, people)).decisions:
            if offset > seen[decision.user]:
                made[decision.key] = (decision.rule, decision.reason.value)
    for name in names:
        people.persons[name].seen[1] = max(seen[name], records[-1][0])
        kept[name] = pack_person(people.persons[name])
    return made


def facts(value: bytes) -> Person:
    """A person without how far each shard was seen."""
    person = read_person(value)
    person.seen = {}
    return person


@pytest.mark.parametrize("seed", range(8))
def test_people_on_loan_are_judged_as_people_at_home(seed: int) -> None:
    site = a_site()
    engine = Engine(site, T0)
    records = sensed_of(site, random.Random(seed), engine)
    home = {
        d.key: (d.rule, d.reason.value)
        for _, sensed in records
        for d in judge(sensed, Judge(site, engine.people)).decisions
    }
    kept: dict[str, bytes] = {}
    loan: dict[str, tuple[str, str]] = {}
    rng, start = random.Random(seed), 0
    while start < len(records):
        size = rng.randrange(1, 6)
        loan |= fold(site, records[start : start + size], kept)
        start += size
    assert loan == home and len(home) > 20
    for name in engine.people.everybody():
        person, user = read_person(kept[name]), engine.people.find(name)
        assert user is not None
        assert person.user.visits == user.visits and person.user.sends == user.sends
        assert {p: n for p, (n, _) in person.user.inside.items()} == {p: n for p, (n, _) in user.inside.items()}


@pytest.mark.parametrize("seed", range(8))
def test_records_that_are_folded_again_decide_nothing_new_and_change_nothing(seed: int) -> None:
    site = a_site()
    records = sensed_of(site, random.Random(seed))
    kept: dict[str, bytes] = {}
    for record in records:
        fold(site, [record], kept)
    before = dict(kept)
    for start in range(0, len(records), 3):
        assert not fold(site, records[start : start + 3], kept)
    assert {name: facts(value) for name, value in kept.items()} == {
        name: facts(value) for name, value in before.items()
    }


@pytest.mark.parametrize("seed", range(4))
def test_users_judged_apart_are_judged_as_together(seed: int) -> None:
    site = a_site()
    records = sensed_of(site, random.Random(seed))
    kept: dict[str, bytes] = {}
    together = fold(site, records, kept)
    apart: dict[str, tuple[str, str]] = {}
    for name in ("u-0", "u-1", "u-2"):
        alone: dict[str, bytes] = {}
        part = [(offset, narrowed(sensed, {name})) for offset, sensed in records]
        made = fold(site, part, alone)
        apart |= made
        assert read_person(alone[name]).user == read_person(kept[name]).user
    assert together.items() <= apart.items()


def test_a_field_keeps_what_was_written_last_whoever_comes_first() -> None:
    changes = [
        UserChanged("u", {"tier": "gold", "age": 30}, {"marketing": True}, {}, "ja"),
        UserChanged("u", {"tier": None}, {"marketing": False}),
        UserChanged("u", {"tier": "silver"}, {}, {"push": "t"}, None),
    ]
    rng, found = random.Random(3), []
    for _ in range(20):
        person = Person(User("u"))
        steps = [*enumerate(changes), *enumerate(changes)]
        rng.shuffle(steps)
        for offset, change in steps:
            change_person(person, change, offset)
        found.append(person)
    assert all(person == found[0] for person in found)
    user = found[0].user
    assert (user.attributes, user.consent, user.tokens, user.locale) == (
        {"tier": "silver", "age": 30}, {"marketing": False}, {"push": "t"}, None,
    )  # fmt: skip


def test_what_is_older_than_it_is_kept_goes_with_the_next_event() -> None:
    people = SharedPeople(shard=1, keep_ms=1_000)
    for offset, time_ms in enumerate([100, 600, 1_100]):
        people.offset = offset
        assert people.happened(Happened("u-1", f"e-{time_ms}", "buy", time_ms))
    assert people.known("u-1").events == [(600, "buy"), (1_100, "buy")]


def test_a_change_that_came_as_an_event_counts_once_whatever_was_written_since() -> None:
    person = Person(User("u"))
    agrees = UserChanged("u", consent={"marketing": True}, id="e-1", time_ms=T0)
    assert change_person(person, agrees, 1) and change_person(person, agrees, 1)  # a worker, and the gateway before it
    assert change_person(person, UserChanged("u", consent={"marketing": False}), 2)
    assert not change_person(person, agrees, 3)
    assert person.user.consent == {"marketing": False}
    assert change_person(person, UserChanged("u", consent={"other": True}, id="e-2", time_ms=T0), 4)
    assert person.user.consent == {"marketing": False, "other": True}


def test_an_erasure_keeps_what_was_written_after_it_and_refuses_what_was_before() -> None:
    person = Person(User("u", visits=[(T0, "shop"), (T0 + 9, "shop")]), stays={"shop": {"d": T0}})
    change_person(person, UserChanged("u", {"tier": "gold"}, {"marketing": True}), 1)
    change_person(person, UserChanged("u", {"age": 30}), 3)
    erase_person(person, 2, T0 + 5)
    change_person(person, UserChanged("u", {"tier": "gold"}), 1)  # a worker that is behind
    assert person.user.attributes == {"age": 30} and person.user.consent == {} and person.user.known
    assert person.user.visits == [(T0 + 9, "shop")] and person.stays == {}


def test_limits_of_a_send_that_failed_are_released_once_and_reserved_again() -> None:
    site = a_site()
    kept: dict[str, bytes] = {}
    records = sensed_of(site, random.Random(1))
    fold(site, records, kept)
    person = next(p for p in map(read_person, kept.values()) if p.open)
    decision, entry = next(iter(person.open.items()))
    (key,) = entry.remaining
    ended = Ended(key, decision, person.user.id, "failed")
    sends = len(person.user.sends)
    assert settle(person, ended) and not settle(person, ended)
    assert len(person.user.sends) == sends - 1 and decision not in person.open
    reopen(person, Resent(key, decision, person.user.id, entry.rule), T0)
    assert len(person.user.sends) == sends and person.open[decision].remaining == {key}


@pytest.mark.parametrize("data", [b"", b"\xff", pack_person(Person(User("u"), v=9))])
def test_what_is_no_person_is_refused(data: bytes) -> None:
    with pytest.raises(PersonError):
        read_person(data)
