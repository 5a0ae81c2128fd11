"""What a request of many users changes: one record a shard, one turn with the store, in order for each user."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from connectors.intake import Unavailable
from connectors.kafka_partition import Partitions
from connectors.kafka_topics import Names
from connectors.kafka_writer import WriteError, Written
from connectors.redis_deliveries import KeptDelivery
from connectors.redis_people import StoredPerson
from engine.person import Person, pack_person, read_person
from engine.ports import AwayError, DeliveryState
from engine.settings import Settings
from engine.wire import UserChanged
from nearcast.gateway_door import GatewayDoor
from rules.facts import User
from tests.connectors.making import T0, SetClock, delivery

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.redis_people import Change
    from engine.wire import Input

SHARDS = 4


class Frames:
    """Notes what is written where; each record of a shard has the next offset."""

    def __init__(self) -> None:
        self.written: dict[int, list[list[Input]]] = {}

    async def write(self, shard: int, inputs: Sequence[Input]) -> Written:
        of_shard = self.written.setdefault(shard, [])
        of_shard.append(list(inputs))
        return Written(shard, len(of_shard) + 10, T0)


class People:
    """Users in memory, compared before they are set. `busy` is changed by somebody else at the first turn.

    While `away` nobody answers.
    """

    away = False

    def __init__(self, busy: str) -> None:
        self.stored: dict[str, StoredPerson] = {}
        self.turns: list[list[str]] = []
        self.new: dict[str, int] = {}
        self._busy = busy

    async def read(self, users: Sequence[str]) -> dict[str, StoredPerson]:
        if self.away:
            raise AwayError("redis does not answer")
        return {user: self.stored.get(user, StoredPerson()) for user in users}

    async def forget_decisions(self, _user: str) -> None:
        return

    async def leave(self, _user: str, _shard: int) -> None:
        return

    async def store(self, changes: Sequence[Change], shard_of: Mapping[str, int]) -> list[bool]:
        if not self.turns:
            person = Person(User(self._busy, tokens={"push": "t"}))
            self.stored[self._busy] = StoredPerson(5, pack_person(person))
        self.turns.append([change.user for change in changes])
        self.new |= shard_of
        return [self._set(change) for change in changes]

    def _set(self, change: Change) -> bool:
        if change.number != self.stored.get(change.user, StoredPerson()).number:
            return False
        self.stored[change.user] = StoredPerson(change.number + 1, change.value)
        return True

    def user(self, name: str) -> User:
        value = self.stored[name].value
        assert value is not None
        return read_person(value).user


class Deliveries:
    """One that failed. Both who ask for it read it before either has it sent."""

    def __init__(self) -> None:
        self.claimed: set[tuple[str, int]] = set()

    async def read(self, keys: Sequence[str]) -> list[KeptDelivery]:
        await asyncio.sleep(0)
        return [KeptDelivery(delivery(key, state=DeliveryState.FAILED)) for key in keys]

    async def claim(self, key: str, again: int) -> bool:
        known = (key, again) in self.claimed
        self.claimed.add((key, again))
        return not known

    async def unclaim(self, key: str, again: int) -> None:
        self.claimed.remove((key, again))

    async def forget(self, _user: str) -> None:
        return


def test_changes_of_many_users_are_one_record_a_shard_and_the_last_of_each_field_stands() -> None:
    users = [f"u-{n}" for n in range(40)]
    people, frames, partitions = People(busy="u-7"), Frames(), Partitions(SHARDS)
    cluster: Any = SimpleNamespace(
        people=people, partitions=partitions, settings=Settings(), redis=None, names=Names("n")
    )
    door = GatewayDoor(cluster, frames, None, None)  # type: ignore[arg-type]
    first = [UserChanged(user, attributes={"tier": "gold", "n": 1}) for user in users]
    second = [UserChanged(user, attributes={"n": 2}, locale="ja") for user in users]
    assert asyncio.run(door.noted([*first, *second])) == (80, 0)
    assert {shard: len(records) for shard, records in frames.written.items()} == dict.fromkeys(range(SHARDS), 1)
    for shard, [record] in frames.written.items():
        assert record == [one for one in (*first, *second) if partitions.of(one.user) == shard], "in their order"
    assert people.turns == [sorted(users), ["u-7"]], "only who was changed meanwhile is asked again"
    assert all(people.user(name).attributes == {"tier": "gold", "n": 2} for name in users)
    assert people.user("u-7").tokens == {"push": "t"} and people.user("u-7").locale == "ja"
    assert people.new == {user: partitions.of(user) for user in users}


def test_a_repeated_change_is_a_duplicate_and_is_not_written_again() -> None:
    people, frames = People(busy="u-0"), Frames()
    cluster: Any = SimpleNamespace(
        people=people, partitions=Partitions(1), settings=Settings(), redis=None, names=Names("n")
    )
    door = GatewayDoor(cluster, frames, None, None)  # type: ignore[arg-type]
    agrees = UserChanged("u-1", consent={"marketing": True}, id="e-1", time_ms=T0)
    more = UserChanged("u-1", locale="ja", id="e-2", time_ms=T0)
    assert asyncio.run(door.noted([agrees, more, agrees])) == (2, 1)
    assert asyncio.run(door.noted([UserChanged("u-1", consent={"marketing": False})])) == (1, 0)
    assert asyncio.run(door.noted([agrees])) == (0, 1)
    assert people.user("u-1").consent == {"marketing": False} and people.user("u-1").locale == "ja"
    assert frames.written == {0: [[agrees, more], [UserChanged("u-1", consent={"marketing": False})]]}


def test_while_redis_is_away_no_answer_promises_that_nothing_is_sent_any_more() -> None:
    people, frames = People(busy="u-0"), Frames()
    cluster: Any = SimpleNamespace(
        people=people, partitions=Partitions(1), settings=Settings(), redis=None, names=Names("n")
    )
    door = GatewayDoor(cluster, frames, None, Deliveries())  # type: ignore[arg-type]
    agrees = UserChanged("u-1", consent={"marketing": True}, attributes={"tier": "gold"}, id="e-1", time_ms=T0)
    withdraws = [
        UserChanged("u-1", consent={"marketing": False}),
        UserChanged("u-1", consent={"marketing": False}, id="e-2", time_ms=T0),
        UserChanged("u-1", consent={"marketing": None}, id="e-3", time_ms=T0),
    ]

    async def main() -> None:
        assert await door.noted([agrees]) == (1, 0)
        people.away = True
        for change in withdraws:
            with pytest.raises(Unavailable):
                await door.noted([change])
        with pytest.raises(Unavailable):
            await door.erase("u-1")
        assert await door.noted([msgspec.structs.replace(agrees, id="e-4")]) == (1, 0), "a worker does it later"
        people.away = False
        assert await door.noted(withdraws) == (3, 0)
        assert people.user("u-1").consent == {} and people.user("u-1").attributes == {"tier": "gold"}
        await door.erase("u-1")
        assert not people.user("u-1").known

    asyncio.run(main())


def test_of_two_who_send_a_delivery_again_at_once_one_is_told_that_it_is_under_way() -> None:
    class Writer:
        """Takes nothing at first."""

        def __init__(self) -> None:
            self.taken: list[bytes] = []
            self.fails = True

        async def write(self, _topic: str, value: bytes, *, key: bytes) -> None:
            if self.fails:
                raise WriteError(f"not of {key!r}")
            self.taken.append(value)

    rules = SimpleNamespace(rule=lambda _name: SimpleNamespace(acts=True))
    sites = SimpleNamespace(site=SimpleNamespace(rules=rules))
    cluster: Any = SimpleNamespace(sites=sites, clock=SetClock(), names=Names("n"), redis=None)
    writer = Writer()
    door = GatewayDoor(cluster, None, writer, Deliveries())  # type: ignore[arg-type]

    async def main() -> None:
        with pytest.raises(Unavailable):
            await door.resend("k-1")
        writer.fails = False
        assert sorted(await asyncio.gather(door.resend("k-1"), door.resend("k-1"))) == [False, True]
        assert len(writer.taken) == 1

    asyncio.run(main())
