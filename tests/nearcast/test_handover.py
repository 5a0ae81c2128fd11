"""A dispatcher's deliveries: one that came again while it was being recorded is not attempted again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from connectors.kafka_reader import Record
from connectors.metrics import Metrics
from connectors.redis_deliveries import KeptDelivery
from connectors.redis_people import StoredPerson
from engine.decided import Decided, encode_decided
from nearcast.handover import Handover
from tests.connectors.making import T0, SetClock, delivery, ended

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.ports import Delivery


class Store:
    """Deliveries in memory. `asked` is called when they are read, after what they are then was noted."""

    def __init__(self) -> None:
        self.kept: dict[str, KeptDelivery] = {}
        self.asked: Callable[[], Any] = lambda: asyncio.sleep(0)

    async def read(self, keys: Sequence[str]) -> list[KeptDelivery | None]:
        found = [self.kept.get(key) for key in keys]
        await self.asked()
        return found

    async def write(self, kept: Sequence[KeptDelivery]) -> None:
        self.kept |= {one.delivery.key: one for one in kept}


class People:
    """Nobody is known: there are no limits to settle."""

    async def read(self, users: Sequence[str]) -> dict[str, StoredPerson]:
        return {user: StoredPerson() for user in users}

    async def store(self, changes: Sequence[Any], _new: Any) -> list[bool]:
        return [True for _ in changes]


class Attempts:
    """What a handover asks of its dispatcher: it notes which deliveries were begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    def add(self, *deliveries: Delivery) -> None:
        self.begun += [one.key for one in deliveries]

    def resume(self) -> None:
        return


def record(offset: int, key: str = "k-1", again: int = 0) -> Record:
    one = delivery(key)
    return Record(offset, T0, encode_decided(Decided("d-1", one.user, one.rule, T0, b"{}", [one], again=again)))


@pytest.mark.parametrize(("again", "begun"), [(0, ["k-1"]), (1, ["k-1", "k-1"])])
def test_what_ends_while_the_store_is_asked_is_begun_again_only_when_somebody_sent_it_again(
    again: int, begun: list[str]
) -> None:
    async def main() -> None:
        store, attempts = Store(), Attempts()
        cluster = SimpleNamespace(metrics=Metrics(), clock=SetClock(), people=People())
        hand = Handover(cluster, store, lambda *_: None)  # type: ignore[arg-type]
        hand.dispatcher = attempts  # type: ignore[assignment]
        recording = asyncio.create_task(hand.record())

        async def it_ends() -> None:
            hand.ended(delivery("k-1"), ended("k-1"))
            while len(hand):
                await asyncio.sleep(0)

        await hand.take_up(0, [record(0)])
        store.asked = it_ends
        await hand.take_up(0, [record(1, again=again)])
        assert attempts.begun == begun
        assert hand.marks() == {0: 1 if again else 2}, "a record whose delivery has ended counts as done"
        recording.cancel()
        with suppress(asyncio.CancelledError):
            await recording

    asyncio.run(main())
