"""The people of one process as those that many processes share, and back: for a state that moves between the forms.

Owns that nothing known of a person is lost on the way. Must not know where either is kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from engine.person import Person
from rules.facts import User

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.people import Open
    from engine.step import Engine

#: The offset of what no record of a shard brought.
NO_RECORD = -1

#: By user, place and device: when it entered.
_Stays = dict[str, dict[str, dict[str, int]]]


def persons_of(engine: Engine) -> Iterator[Person]:
    """Everybody of whom anything was ever heard. What is theirs is shared with the engine: it must not go on."""
    people, stays = engine.people, _stays(engine)
    opened: dict[str, dict[str, Open]] = {}
    for decision, entry in people.open.items():
        opened.setdefault(entry.user, {})[decision] = entry
    for name in people.everybody():
        known = people.users.get(name) or User(name)
        user = replace(known, visits=engine.whereabouts.visits(name), inside={})
        events = {event: (time_ms, NO_RECORD) for event, time_ms in people.event_ids.get(name, {}).items()}
        yield Person(user, stays=stays.get(name, {}), event_ids=events, open=opened.get(name, {}))


def take_persons(engine: Engine, persons: Iterable[Person]) -> None:
    """Have an engine know these people, whose devices it has. What is theirs is the engine's from then on."""
    people, slots = engine.people, engine.sense.devices.slots
    for person in persons:
        user = person.user
        stays = [
            (place, device, entered_ms)
            for place, held in person.stays.items()
            for device, entered_ms in held.items()
            if device in slots
        ]
        engine.whereabouts.take_in(user.id, stays, user.visits)
        user.inside, user.visits = {}, []  # gathered anew when somebody looks
        people.users[user.id] = user
        people.open.update(person.open)
        if person.event_ids:
            people.event_ids[user.id] = {event: time_ms for event, (time_ms, _) in person.event_ids.items()}


def present_of(engine: Engine) -> Iterator[tuple[str, str, int]]:
    """Who is where: (place, device, when it entered)."""
    sense = engine.sense
    for slot, number, entered_ms in sense.present(range(len(sense.view.places))):
        yield sense.view.places[number].id, sense.devices.names[slot], entered_ms


def _stays(engine: Engine) -> _Stays:
    found: _Stays = {}
    devices = engine.sense.devices
    for place, device, entered_ms in present_of(engine):
        user = devices.user_of(devices.slots[device])
        found.setdefault(user, {}).setdefault(place, {})[device] = entered_ms
    return found
