"""What the HTTP interface asks of a gateway: the `Intake` over Kafka and Redis.

Owns the order in which what came in is kept: Kafka first, since that is the truth; then Redis, so that whoever asks
next sees it; then the answer. A gateway that dies between loses nothing: a worker does the second when it reads the
first. What an answer promises of messages to come waits for the second: with Redis away it is "not now", and what is
in Kafka by then is in force once a worker reads it, and a repeat changes nothing. Must not know HTTP, nor how records
and keys look.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import structlog

from connectors.intake import LocatedAnswer, Unavailable
from connectors.redis_people import Change
from engine.decided import Decided, encode_decided
from engine.person import Person, change_person, erase_person, pack_person, read_person
from engine.ports import DeliveryState, StoreError
from engine.wire import Erased, Happened
from nearcast.cluster_view import ClusterView
from nearcast.nearby import Nearby
from rules.facts import User

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from connectors.kafka_frames import FrameWriter
    from connectors.kafka_writer import KafkaWriter
    from connectors.redis_deliveries import RedisDeliveries
    from engine.pings import Pings
    from engine.ports import DecisionQuery
    from engine.wire import UserChanged
    from nearcast.cluster import Cluster

log = structlog.get_logger("nearcast.gateway")

Event = TypeVar("Event", "Happened", "UserChanged")

#: How long an answer waits for a worker to fold an event, so that what is posted next is judged with it.
FOLDED_S: Final = 1.0
_ASK_EACH_S: Final = 0.005
_ROUNDS_MAX: Final = 50
_RESENDABLE: Final = frozenset(
    {DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.UNKNOWN}
)


class GatewayDoor:
    """The `Intake` of a gateway."""

    def __init__(self, cluster: Cluster, frames: FrameWriter, writer: KafkaWriter, deliveries: RedisDeliveries) -> None:
        self._cluster = cluster
        self._frames = frames
        self._writer = writer
        self._deliveries = deliveries
        self._view = ClusterView(cluster, deliveries)
        self._nearby: Nearby | None = None

    @property
    def ready(self) -> bool:
        """True while pings are taken."""
        return self._frames.ready

    # -- what is kept ----------------------------------------------------------------------------------------------

    async def located(self, pings: Pings, *, received_ms: float, wait: bool) -> LocatedAnswer:
        """Take the accepted pings and sightings of one request. Repeated ones are found by the worker."""
        assert not wait, "a gateway does not know what is decided"
        await self._frames.located(pings, received_ms)
        return LocatedAnswer(len(pings), 0)

    async def noted(self, inputs: Sequence[Happened | UserChanged]) -> tuple[int, int]:
        """Take events, and changes to what is known of users, in order; returns (accepted, duplicate)."""
        duplicate = 0
        for events, some in groupby(inputs, key=lambda item: isinstance(item, Happened)):
            if events:
                duplicate += await self._happened(cast("list[Happened]", list(some)))
            else:
                duplicate += await self._change_users(cast("list[UserChanged]", list(some)))
        return len(inputs) - duplicate, duplicate

    async def _happened(self, events: Sequence[Happened]) -> int:
        """Take events; returns how many were known."""
        fresh = await self._unknown(events)
        by_shard: dict[int, list[Happened]] = {}
        for event in fresh:
            by_shard.setdefault(self._cluster.partitions.of(event.user), []).append(event)
        written = await asyncio.gather(*(self._frames.write(shard, part) for shard, part in by_shard.items()))
        await self._folded({w.partition: w.offset for w in written})
        return len(events) - len(fresh)

    async def _change_users(self, changes: Sequence[UserChanged]) -> int:
        """Take changes of users; those of one shard are one record, in their order. Returns how many were known."""
        events = [change for change in changes if change.id]
        unknown = {(event.user, event.id) for event in await self._unknown(events)} if events else set()
        fresh = []
        for change in changes:
            key = change.user, change.id
            if not change.id or key in unknown:
                unknown.discard(key)
                fresh.append(change)
        if not fresh:
            return len(changes)
        by_shard: dict[int, list[UserChanged]] = {}
        by_user: dict[str, list[UserChanged]] = {}
        for change in fresh:
            by_shard.setdefault(self._cluster.partitions.of(change.user), []).append(change)
            by_user.setdefault(change.user, []).append(change)
        written = await asyncio.gather(*(self._frames.write(shard, part) for shard, part in by_shard.items()))
        offsets = {w.partition: w.offset for w in written}

        def changed(person: Person) -> None:
            for change in by_user[person.user.id]:
                change_person(person, change, offsets[self._cluster.partitions.of(change.user)])

        with self._redis() if any(map(_binds_at_once, fresh)) else self._redis_or_later():
            await self._change(by_user, changed)
        return len(changes) - len(fresh)

    async def erase(self, user: str) -> None:
        """Forget a user: from the answer on nothing is sent. Dispatchers ask Redis, so it must know by then."""
        shards = range(self._cluster.partitions.count)
        written = await asyncio.gather(*(self._frames.write(shard, (Erased(user),)) for shard in shards))
        own = self._cluster.partitions.of(user)
        offset, now_ms = written[own].offset, max(w.time_ms for w in written)
        with self._redis():
            await self._change([user], lambda person: erase_person(person, offset, now_ms), erased=True)
            await self._cluster.people.forget_decisions(user)
            await self._cluster.people.leave(user, own)
            await self._deliveries.forget(user)

    async def resend(self, key: str) -> bool | None:
        """Send a delivery again. None: there is no such key. False: its state or a stopped rule forbids it."""
        with self._redis():
            (kept,) = await self._deliveries.read([key])
        if kept is None:
            return None
        rule = self._cluster.sites.site.rules.rule(kept.delivery.rule)
        if kept.delivery.state not in _RESENDABLE or rule is None or not rule.acts:
            return False
        again = kept.again + 1
        with self._redis():
            if not await self._deliveries.claim(key, again):
                return False  # somebody else has it sent, and it is not noted yet
        decided = Decided(
            kept.delivery.decision, kept.delivery.user, kept.delivery.rule, self._cluster.clock.now_ms(), b"",
            [kept.delivery], again=again,
        )  # fmt: skip
        try:
            await self._writer.write(
                self._cluster.names.decisions, encode_decided(decided), key=kept.delivery.user.encode()
            )
        except BaseException as error:
            with suppress(StoreError):  # then it is free after a while
                await self._deliveries.unclaim(key, again)
            if isinstance(error, StoreError):
                raise Unavailable(1) from error
            raise
        return True

    # -- what is asked ---------------------------------------------------------------------------------------------

    async def user(self, user: str) -> User | None:
        """What is known of a user, None when nobody wrote anything about them."""
        with self._redis():
            person = await self._view.person(user)
        return person.user if person is not None and person.user.known else None

    async def export(self, user: str) -> dict[str, Any] | None:
        """All that is kept of a user; None when nothing is."""
        with self._redis():
            return await self._view.export(user)

    def near(self, lat_deg: float, lng_deg: float, limit: int) -> list[dict[str, Any]]:
        """The fences nearest to a point, as the circle round each."""
        site = self._cluster.sites.site
        if self._nearby is None or self._nearby.version != site.version:
            self._nearby = Nearby(site)
        return self._nearby.nearest(lat_deg, lng_deg, limit)

    async def present(self, place: str) -> list[dict[str, Any]] | None:
        """Who is at a place; None when there is no such place."""
        if place not in self._cluster.sites.site.places:
            return None
        with self._redis():
            return await self._view.present(place)

    async def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """Kept decisions, newest first."""
        with self._redis():
            return await self._view.decisions(query)

    async def deliveries(self, outcome: str | None, limit: int) -> list[dict[str, Any]]:
        """Deliveries of one outcome, or of all, newest first."""
        with self._redis():
            return await self._view.deliveries(outcome, limit)

    # -- how -------------------------------------------------------------------------------------------------------

    async def _unknown(self, events: Sequence[Event]) -> list[Event]:
        """The events that are not known yet, each once. With Redis away all are taken: a worker finds repeats."""
        known: dict[str, Person] = {}
        with self._redis_or_later():
            stored = await self._cluster.people.read(sorted({event.user for event in events}))
            known = {name: read_person(one.value) for name, one in stored.items() if one.value is not None}
        fresh: dict[tuple[str, str], Event] = {}
        for event in events:
            person = known.get(event.user)
            if person is None or event.id not in person.event_ids:
                fresh.setdefault((event.user, event.id), event)
        return list(fresh.values())

    async def _change(self, users: Iterable[str], change: Callable[[Person], None], *, erased: bool = False) -> None:
        """Do now in Redis what a worker will do too. Raises `StoreError`."""
        people, left = self._cluster.people, sorted(users)
        for _ in range(_ROUNDS_MAX):
            new: dict[str, int] = {}
            changes = []
            for user, stored in (await people.read(left)).items():
                person = Person(User(user)) if stored.value is None else read_person(stored.value)
                change(person)
                if not stored.number and not erased:
                    new[user] = self._cluster.partitions.of(user)
                ttl_ms = self._cluster.settings.keep.pings_ms if erased and not person.user.known else 0
                changes.append(Change(user, stored.number, pack_person(person), {}, ttl_ms))
            done = await people.store(changes, new)
            left = [one.user for one, answer in zip(changes, done, strict=True) if answer is not True]
            if not left:
                return
        raise StoreError(f"{len(left)} users are changed by others faster than they can be changed here")

    async def _folded(self, offsets: dict[int, int]) -> None:
        """Wait until workers have folded these records, but not for long: they are kept in any case."""
        left = dict(offsets)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + FOLDED_S
        with self._redis_or_later():
            while left and loop.time() < until_s:
                shards = sorted(left)
                for shard, stored in zip(shards, await self._cluster.shards.read_many(shards), strict=True):
                    if stored.offset >= left[shard]:
                        del left[shard]
                if left:
                    await asyncio.sleep(_ASK_EACH_S)

    @contextmanager
    def _redis(self) -> Iterator[None]:
        """What cannot be answered without Redis."""
        try:
            yield
        except StoreError as error:
            log.warning("a request could not be answered", why=str(error))
            raise Unavailable(1) from error

    @contextmanager
    def _redis_or_later(self) -> Iterator[None]:
        """What is better done now, and is done by a worker otherwise."""
        try:
            yield
        except StoreError as error:
            log.warning("redis is away, a worker does it later", why=str(error))


def _binds_at_once(change: UserChanged) -> bool:
    """Whether the answer promises that it is in force: what was written with `PUT`, and consent that is withdrawn."""
    return not change.id or not all(change.consent.values())
