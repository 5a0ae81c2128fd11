"""The people of one process as those that many share: where everybody is and was, and what of theirs is open."""

from __future__ import annotations

import random
from typing import Any

from engine.apart import NO_RECORD, persons_of, take_persons
from engine.person import pack_person, read_person
from engine.shard import pack_devices, pack_meta, read_meta, unpack_devices
from engine.step import Engine
from engine.wire import Happened, UserChanged
from tests.world import T0, Stage, at, circle, files_of, site_of

RULES = """
id: hello
state: live
trigger: {event: entered, place: {tag: any}}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""


def some_ping(rng: random.Random, second: int) -> dict[str, Any]:
    """One of five devices somewhere, now and then in other hands."""
    lat, lng = at(rng.uniform(-200, 700))
    ping = {"device": f"d{rng.randrange(5)}", "time": T0 + 10_000 * second, "lat": lat, "lng": lng}
    return ping | ({"user": f"u{rng.randrange(4)}"} if rng.random() < 0.2 else {})


def decisions(stage: Stage) -> list[tuple[str, str]]:
    """What was decided, and why."""
    return [(decision.key, decision.reason.value) for effects in stage.effects for decision in effects.decisions]


def wandering(rng: random.Random) -> Stage:
    """Five devices of four people, who take over each other's, on their ways between places that overlap."""
    places = [circle(f"p{n}", 90.0 * n, tags=["any"]) for n in range(6)]
    stage = Stage(site_of(files_of(places, RULES, settings="detection: {preset: instant}\n")))
    stage.step([UserChanged(f"u{n}", {"tier": "gold"}, {"marketing": n != 2}) for n in range(3)])
    for second in range(1, 200):
        stage.post(some_ping(rng, second))
        if second % 20 == 0:
            stage.step([Happened(f"u{second % 4}", f"e{second}", "purchase", stage.now_ms, {})])
    return stage


def test_nothing_known_of_a_person_is_lost_on_the_way() -> None:
    met = open_decisions = inside = 0
    for seed in range(8):
        engine = wandering(random.Random(seed)).engine
        people = engine.people
        persons = {p.user.id: read_person(pack_person(p)) for p in persons_of(engine)}
        assert set(persons) == set(people.everybody())
        for name, person in persons.items():
            found = people.find(name)
            assert found is not None and person.user == found, name
            events = {event: (time_ms, NO_RECORD) for event, time_ms in people.event_ids.get(name, {}).items()}
            assert person.event_ids == events and person.marks == person.seen == {}
            inside += len(found.inside)
        opened = {decision: entry for person in persons.values() for decision, entry in person.open.items()}
        assert opened == people.open
        met, open_decisions = met + len(persons), open_decisions + len(opened)
    assert met > 40 and open_decisions > 40 and inside > 10


def brought_together(engine: Engine) -> Engine:
    """An engine that knows the same devices and people, these by way of those that many share."""
    other = Engine(engine.site, engine.now_ms)
    meta = read_meta(pack_meta(0, engine.now_ms, engine.site.version, 1))
    packed = pack_devices(engine.sense, sorted(engine.sense.devices.slots.values(), reverse=True))
    unpack_devices(other.sense, meta, packed.items())
    other.sense.reschedule()
    take_persons(other, [read_person(pack_person(person)) for person in persons_of(engine)])
    return other


def test_people_who_come_back_together_go_on_as_if_they_had_never_been_apart() -> None:
    for seed in range(8):
        stage = wandering(random.Random(seed))
        stages = [stage, Stage(stage.site, stage.now_ms)]
        stages[1].engine = brought_together(stage.engine)
        rng, done = random.Random(100 + seed), len(stage.told)
        for second in range(200, 400):
            ping = some_ping(rng, second)
            for one in stages:
                one.post(ping)
            (here, there) = (one.engine.people for one in stages)
            assert set(here.everybody()) <= set(there.everybody())
            for name in here.everybody():
                assert here.find(name) == there.find(name), (seed, second, name)
        assert [t.id for t in stages[0].told[done:]] == [t.id for t in stages[1].told]
        mine, others = decisions(stages[0]), decisions(stages[1])
        assert others and mine[-len(others) :] == others
