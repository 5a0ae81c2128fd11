"""A dispatcher's deliveries: what it ended is not attempted again, whatever the store knows of it by then."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from connectors.kafka_reader import Record
from connectors.metrics import Metrics
from connectors.redis_deliveries import KeptDelivery
from connectors.redis_people import StoredPerson
from engine.decided import Decided, encode_decided
from engine.person import Person, pack_person
from engine.ports import DeliveryState
from engine.settings import Settings
from nearcast.ended_lately import PIECE, EndedLately
from nearcast.handover import Handover
from rules.facts import User
from tests.connectors.making import T0, SetClock, delivery, ended

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from engine.ports import Delivery


class Store:
    """Deliveries in memory.

    `asked` is called when they are read, after what they are then was noted; `written` before they are written.
    """

    def __init__(self) -> None:
        self.kept: dict[str, KeptDelivery] = {}
        self.asked: Callable[[], Any] = lambda: asyncio.sleep(0)
        self.written: Callable[[], Any] = lambda: None

    async def read(self, keys: Sequence[str]) -> list[KeptDelivery | None]:
        found = [self.kept.get(key) for key in keys]
        await self.asked()
        return found

    async def write(self, kept: Sequence[KeptDelivery]) -> None:
        self.written()
        self.kept |= {one.delivery.key: one for one in kept}

    async def drop(self, kept: Sequence[KeptDelivery]) -> None:
        for one in kept:
            self.kept.pop(one.delivery.key, None)


class People:
    """Those who are known, of whom no limits are to be settled; the others are strangers."""

    def __init__(self, *known: Person) -> None:
        self._known: dict[str, StoredPerson] = {}
        self.tell(*known)

    def tell(self, *known: Person) -> None:
        self._known |= {person.user.id: StoredPerson(1, pack_person(person)) for person in known}

    async def read(self, users: Sequence[str]) -> dict[str, StoredPerson]:
        return {user: self._known.get(user, StoredPerson()) for user in users}

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


def handover_of(store: Store, *known: Person) -> tuple[Handover, Attempts]:
    """A handover over this store, and what it begins."""
    cluster = SimpleNamespace(metrics=Metrics(), clock=SetClock(), people=People(*known), settings=Settings())
    hand, attempts = Handover(cluster, store, lambda *_: None), Attempts()  # type: ignore[arg-type]
    hand.dispatcher = attempts  # type: ignore[assignment]
    return hand, attempts


@asynccontextmanager
async def recording(hand: Handover) -> AsyncIterator[None]:
    """What ends is recorded meanwhile."""
    task = asyncio.create_task(hand.record())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def all_recorded(hand: Handover) -> None:
    while len(hand):
        await asyncio.sleep(0)


def record(offset: int, key: str = "k-1", again: int = 0) -> Record:
    return record_of(offset, delivery(key), again)


def record_of(offset: int, one: Delivery, again: int = 0) -> Record:
    return Record(offset, T0, encode_decided(Decided("d-1", one.user, one.rule, T0, b"{}", [one], again=again)))


@pytest.mark.parametrize(("again", "begun"), [(0, ["k-1"]), (1, ["k-1", "k-1"])])
def test_what_ends_while_the_store_is_asked_is_begun_again_only_when_somebody_sent_it_again(
    again: int, begun: list[str]
) -> None:
    async def main() -> None:
        store = Store()
        hand, attempts = handover_of(store)
        async with recording(hand):

            async def it_ends() -> None:
                hand.ended(delivery("k-1"), ended("k-1"))
                await all_recorded(hand)

            await hand.take_up(0, [record(0)])
            store.asked = it_ends
            await hand.take_up(0, [record(1, again=again)])
            assert attempts.begun == begun
            assert hand.marks() == {0: 1 if again else 2}, "a record whose delivery has ended counts as done"

    asyncio.run(main())


@pytest.mark.parametrize("left", ["nothing", "pending"])
def test_what_the_store_forgot_is_not_attempted_again_when_it_is_decided_again_and_the_store_is_told(left: str) -> None:
    async def main() -> None:
        store = Store()
        hand, attempts = handover_of(store)
        async with recording(hand):
            await hand.take_up(0, [record(0)])
            before = {} if left == "nothing" else {"k-1": KeptDelivery(delivery("k-1"))}
            hand.ended(delivery("k-1"), ended("k-1"))
            await all_recorded(hand)
            after, store.kept = store.kept, before
            await hand.take_up(0, [record(1)])
            assert attempts.begun == ["k-1"] and hand.marks() == {0: 2}
            assert store.kept == after and store.kept["k-1"].delivery.state is DeliveryState.DELIVERED
            await hand.take_up(0, [record(2, again=1)])
            assert attempts.begun == ["k-1", "k-1"], "somebody sent it again"

    asyncio.run(main())


def test_what_the_store_forgot_is_told_again_but_not_of_those_who_were_erased_since() -> None:
    async def main() -> None:
        store, keys = Store(), [f"k-{n}" for n in range(3 * PIECE)]
        erased = Person(User("u-erased"))
        erased.erased_ms = T0 + 1
        hand, _ = handover_of(store, Person(User(delivery("k").user)), erased)
        async with recording(hand):
            gone = replace(delivery("k-gone"), user="u-erased")
            await hand.take_up(0, [*(record(n, key) for n, key in enumerate(keys)), record_of(len(keys), gone)])
            for one in [gone, *map(delivery, keys)]:
                hand.ended(one, ended(one.key))
            await all_recorded(hand)
            whole = dict(store.kept)
            assert list(whole) == keys, "of who was erased nothing is kept"
            for key in keys[-PIECE - 9 :]:
                del store.kept[key]
            await hand.look_back()
            assert store.kept == whole
            del store.kept[keys[0]]  # nothing newer is missing: older ones are not looked at
            await hand.look_back()
            assert keys[0] not in store.kept

    asyncio.run(main())


@pytest.mark.parametrize("ends", ["ended", "pending"])
def test_of_who_is_erased_while_it_is_written_nothing_stays_but_what_was_decided_since(ends: str) -> None:
    async def main() -> None:
        store, erased = Store(), Person(User("u-7"), erased_ms=T0 + 10)
        hand, _ = handover_of(store)
        since = delivery("k-since", created_ms=T0 + 11)
        async with recording(hand):
            await hand.take_up(0, [record(0), record_of(1, since)])
            store.written = lambda: hand._cluster.people.tell(erased)  # type: ignore[attr-defined]
            hand.ended(since, ended("k-since"))
            if ends == "ended":
                hand.ended(delivery("k-1"), ended("k-1"))
            hand._cluster.clock.at_ms += 2_000  # type: ignore[attr-defined]
            while len(hand) > (ends == "pending"):
                await asyncio.sleep(0)
        assert list(store.kept) == ["k-since"]

    asyncio.run(main())


def test_what_a_dispatcher_wrote_of_an_erased_user_and_then_ended_is_forgotten_by_the_next() -> None:
    async def main() -> None:
        store = Store()
        store.kept["k-1"] = KeptDelivery(replace(delivery("k-1"), state=DeliveryState.FAILED))
        hand, attempts = handover_of(store, Person(User("u-7"), erased_ms=T0 + 10))
        await hand.take_up(0, [record(0)])
        assert (store.kept, attempts.begun, hand.marks()) == ({}, [], {0: 1})

    asyncio.run(main())


def test_what_does_not_end_soon_is_noted_as_pending_and_what_does_is_noted_once() -> None:
    async def main() -> None:
        store = Store()
        hand, _ = handover_of(store)
        async with recording(hand):
            once = delivery("k-once", at_most_once=True)
            await hand.take_up(0, [record(0, "k-1"), record(1, "k-2"), record_of(2, once)])
            assert list(store.kept) == ["k-once"], "of that one the store knows before it is attempted"
            hand._cluster.clock.at_ms += 2_000  # type: ignore[attr-defined]
            await hand.take_up(0, [record(3, "k-3")])
            hand.ended(delivery("k-2"), ended("k-2"))
            while len(hand) > 3:
                await asyncio.sleep(0)
        assert {key: one.delivery.state.value for key, one in store.kept.items()} == {
            "k-once": "pending", "k-1": "pending", "k-2": "delivered",
        }  # fmt: skip
        assert hand.marks() == {0: 0}

    asyncio.run(main())


def test_so_many_ends_are_remembered_and_the_oldest_go() -> None:
    lately = EndedLately(most=2)
    kept = [KeptDelivery(replace(delivery(key), state=DeliveryState.DELIVERED)) for key in ("a", "b", "a", "c")]
    for one in kept:
        lately.note(one)
    assert list(lately.pieces()) == [[kept[3], kept[2]]]
    assert lately.than("b", None) is None and lately.than("a", None) is kept[2]
    newer = KeptDelivery(delivery("a"), again=1)
    assert lately.than("a", newer) is newer, "it was sent again since"
