"""The people of one process as those that many share: where everybody is and was, and what of theirs is open."""

from __future__ import annotations

import random

from engine.apart import NO_RECORD, persons_of
from engine.person import pack_person, read_person
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


def wandering(rng: random.Random) -> Engine:
    """Five devices of four people, who take over each other's, on their ways between places that overlap."""
    places = [circle(f"p{n}", 90.0 * n, tags=["any"]) for n in range(6)]
    stage = Stage(site_of(files_of(places, RULES, settings="detection: {preset: instant}\n")))
    stage.step([UserChanged(f"u{n}", {"tier": "gold"}, {"marketing": n != 2}) for n in range(3)])
    for second in range(1, 200):
        lat, lng = at(rng.uniform(-200, 700))
        ping = {"device": f"d{rng.randrange(5)}", "time": T0 + 10_000 * second, "lat": lat, "lng": lng}
        stage.post(ping | ({"user": f"u{rng.randrange(4)}"} if rng.random() < 0.2 else {}))
        if second % 20 == 0:
            stage.step([Happened(f"u{second % 4}", f"e{second}", "purchase", ping["time"], {})])
    return stage.engine


def test_nothing_known_of_a_person_is_lost_on_the_way() -> None:
    met = open_decisions = inside = 0
    for seed in range(8):
        engine = wandering(random.Random(seed))
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
