"""Limits of ended deliveries are settled on the user as they are, however the user was read."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from connectors.redis_people import StoredPerson
from engine.people import Open
from engine.person import Person, pack_person, read_person
from engine.ports import DeliveryState, StoreError
from nearcast.settling import Settling
from rules.facts import Send, User
from tests.connectors.making import T0, SetClock, delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.redis_people import Change

FAILED = replace(delivery("k-1", user="u"), state=DeliveryState.FAILED, attempts=3)


class People:
    """One user, compared before it is set; `busy` times somebody else changes it first."""

    def __init__(self, person: Person, busy: int = 0) -> None:
        self.stored = StoredPerson(7, pack_person(person))
        self.reads = 0
        self._busy = busy

    async def read(self, users: Sequence[str]) -> dict[str, StoredPerson]:
        self.reads += len(users)
        return dict.fromkeys(users, self.stored)

    async def store(self, changes: Sequence[Change], _new: Mapping[str, int]) -> list[bool]:
        return [self._set(change) for change in changes]

    def _set(self, change: Change) -> bool:
        if self._busy:
            self._busy -= 1
            self.stored = replace(self.stored, number=self.stored.number + 1)
        if change.number != self.stored.number:
            return False
        self.stored = StoredPerson(change.number + 1, change.value)
        return True


def somebody() -> Person:
    """One whose only message is `k-1`, with its limits reserved."""
    person = Person(User("u", consent={"marketing": True}))
    person.user.sends.append(Send("d-1", "timesale", (), None, T0))
    person.open["d-1"] = Open("u", "timesale", {"k-1"})
    return person


def settled(people: People, known: Mapping[str, StoredPerson]) -> Person:
    asyncio.run(Settling(people, SetClock()).settle([FAILED], [], known))  # type: ignore[arg-type]
    assert people.stored.value is not None
    return read_person(people.stored.value)


def test_a_user_who_was_read_just_now_is_not_read_again() -> None:
    people = People(somebody())
    person = settled(people, {"u": people.stored, "other": people.stored})
    assert (person.open, person.user.sends, people.reads) == ({}, [], 0)


def test_a_user_who_was_changed_since_is_read_again_and_the_change_stays() -> None:
    people = People(somebody())
    old = people.stored
    changed = somebody()
    changed.user.consent = {"marketing": False}
    people.stored = StoredPerson(8, pack_person(changed))
    person = settled(people, {"u": old})
    assert (person.open, person.user.consent, people.stored.number) == ({}, {"marketing": False}, 9)


def test_who_is_changed_by_others_all_the_time_is_given_up_on_for_now() -> None:
    with pytest.raises(StoreError, match="1 users are changed by others faster"):
        settled(People(somebody(), busy=1_000), {})
