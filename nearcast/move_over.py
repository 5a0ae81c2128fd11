"""The state of one process carried into a cluster: devices, people, what was decided and what is to be delivered.

Owns the order, and that it is all or nothing: whoever finds a move that did not come to its end refuses to begin. The
cluster must be new: nothing of its name in Redis, no records in its topics. So no record has an effect twice, and the
shards begin at the end of the topic. Must not know how any of it is kept.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from connectors.clock import MachineClock
from connectors.kafka_partition import Partitions
from connectors.kafka_reader import KafkaReader
from connectors.kafka_topics import Names
from connectors.kafka_writer import KafkaWriter
from connectors.redis_deliveries import KeptDelivery, RedisDeliveries
from connectors.redis_people import DECISIONS_MAX, Change, RedisPeople
from connectors.redis_places import RedisPlaces
from connectors.redis_shards import RedisShards, StoredShard
from engine.apart import persons_of, present_of
from engine.decided import Decided, encode_decided
from engine.person import pack_person
from engine.ports import StoreError
from engine.shard import pack_devices, pack_meta
from nearcast.cluster import settled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import TypeVar

    from connectors.kafka_brokers import Brokers
    from connectors.redis_client import RedisClient
    from connectors.redis_sites import RedisSites, Wanted
    from connectors.store_sqlite import SqliteStore
    from engine.person import Person
    from engine.ports import Delivery
    from engine.settings import Settings
    from engine.step import Engine

    T = TypeVar("T")

#: So many people, devices or deliveries are written in one go.
_PIECE: Final = 1_000
#: The generation of the devices that came in a move.
_GENERATION: Final = "moved"


@dataclass(slots=True)
class Moved:
    """How much was carried."""

    devices: int = 0
    users: int = 0
    decisions: int = 0
    deliveries: int = 0
    pending: int = 0


class Mover:
    """Carries the state of an engine, and what its store keeps beside it, into a new cluster.

    `lanes` are clients of one Redis: it syncs its file once for what it reads of all of them in one go.
    """

    def __init__(
        self, store: SqliteStore, engine: Engine, settings: Settings, brokers: Brokers, lanes: Sequence[RedisClient]
    ) -> None:
        name, redis = settings.cluster.name, lanes[0]
        self._lanes = lanes
        self._store, self._engine, self._settings = store, engine, settings
        self._brokers, self._redis, self._names = brokers, redis, Names(name)
        self._shards = RedisShards(redis, name)
        self._places = RedisPlaces(redis, name)
        self._moved = Moved()

    async def run(self) -> Moved:
        """Carry it all. Raises `StoreError`: before anything is written, or else the cluster is of no use."""
        sites, count = await settled(self._settings, self._brokers, self._redis)
        partitions = Partitions(count)
        ends = await self._ends_of_new(sites, count)
        await sites.begin_move()
        try:
            wanted = await self._bring_site(sites)
            await self._bring_devices(partitions, ends, wanted)
            await self._bring_people(partitions)
            await self._bring_pending()
        except StoreError as error:
            raise StoreError(
                f"the move did not come to its end, the store is as it was; choose another `cluster.name` and move"
                f" again: {error}"
            ) from error
        await sites.end_move()
        return self._moved

    async def _ends_of_new(self, sites: RedisSites, count: int) -> dict[int, int]:
        """The end of each partition of a cluster that has not begun. Raises `StoreError` when it has."""
        name = self._names.name
        if (await sites.wanted()).seq:
            raise StoreError(f"the cluster `{name}` has begun, its state would be lost, choose another `cluster.name`")
        ends: dict[int, int] = {}
        for topic in (self._names.decisions, self._names.pings):
            reader = KafkaReader(self._brokers, topic, client=f"{name}-move")
            await reader.start()
            try:
                begins, ends = await reader.begins(range(count)), await reader.ends(range(count))
            finally:
                await reader.stop()
            if begins != ends:
                raise StoreError(f"topic `{topic}` holds records already, choose another `cluster.name`")
        return ends

    async def _bring_site(self, sites: RedisSites) -> Wanted:
        """The version in force, as it is kept: newer files in the folder come as an edit when a role starts."""
        version = self._engine.site.version
        files = self._store.site_files(version)
        return await sites.want(version, files, instead_of="", now_ms=MachineClock().now_ms(), by="move")

    async def _bring_devices(self, partitions: Partitions, ends: dict[int, int], wanted: Wanted) -> None:
        """Each shard's devices, with the end of its topic as what they reflect; and who is where."""
        engine, of_shard = self._engine, dict[int, list[int]]()
        for device, slot in engine.sense.devices.slots.items():
            of_shard.setdefault(partitions.of(device), []).append(slot)
        for shard, end in ends.items():
            packed: dict[str, bytes] = {}
            for slots in _pieces(of_shard.get(shard, ())):
                packed |= pack_devices(engine.sense, slots)
            meta = pack_meta(end - 1, engine.now_ms, wanted.version, wanted.seq)
            found = await self._shards.store(shard, StoredShard(), StoredShard(end - 1, _GENERATION, meta), packed)
            if found is not None:
                raise StoreError(f"shard {shard} was stored by a worker meanwhile")
            self._moved.devices += len(packed)
        for present in _pieces(present_of(engine)):
            await self._places.enter(present)

    async def _bring_people(self, partitions: Partitions) -> None:
        """Everybody, each with their newest decisions; and all deliveries of these."""
        pieces = _pieces(persons_of(self._engine))
        await asyncio.gather(*(self._bring_some(lane, pieces, partitions) for lane in self._lanes))

    async def _bring_some(self, lane: RedisClient, pieces: Iterator[list[Person]], partitions: Partitions) -> None:
        """People as long as there are some that no other lane has taken."""
        name, keep_ms = self._names.name, self._settings.keep.decisions_ms
        people, known = RedisPeople(lane, name, keep_ms), RedisDeliveries(lane, name, keep_ms)
        for persons in pieces:
            kept = await asyncio.to_thread(self._kept_of, persons)
            changes = [_change(person, *beside) for person, beside in zip(persons, kept, strict=True)]
            for some in _pieces(KeptDelivery(one) for _, deliveries in kept for one in deliveries):
                await known.write(some)
            own = {change.user: partitions.of(change.user) for change in changes}
            if not all(done is True for done in await people.store(changes, own)):
                raise StoreError("a user was stored by somebody else meanwhile")
            self._moved.users += len(persons)
            self._moved.decisions += sum(len(decided) for decided, _ in kept)
            self._moved.deliveries += sum(len(deliveries) for _, deliveries in kept)

    def _kept_of(self, persons: Sequence[Person]) -> list[tuple[list[Decided], list[Delivery]]]:
        """What the store keeps beside the state of these people."""
        users = [person.user.id for person in persons]
        return [(self._store.decided(user, DECISIONS_MAX), self._store.deliveries_of(user)) for user in users]

    async def _bring_pending(self) -> None:
        """What is to be delivered, in its order, to whoever delivers."""
        writer = KafkaWriter(self._brokers, client=f"{self._names.name}-move", clock=MachineClock())
        await writer.start()
        try:
            for some in _pieces(self._store.pending()):
                await asyncio.gather(
                    *(
                        writer.write(self._names.decisions, encode_decided(_alone(one)), key=one.user.encode())
                        for one in some
                    )
                )
                self._moved.pending += len(some)
        finally:
            await writer.stop()


def _change(person: Person, decided: Sequence[Decided], deliveries: Sequence[Delivery]) -> Change:
    """A new user, with what was decided about them."""
    of_decision: dict[str, list[Delivery]] = {}
    for delivery in deliveries:
        of_decision.setdefault(delivery.decision, []).append(delivery)
    kept = {
        one.key: encode_decided(
            Decided(one.key, one.user, one.rule, one.time_ms, one.line, of_decision.get(one.key, []))
        )
        for one in decided
    }
    return Change(person.user.id, 0, pack_person(person), kept)


def _alone(delivery: Delivery) -> Decided:
    """A delivery as it is handed on without the decision that it came from, which is kept with its user."""
    return Decided(delivery.decision, delivery.user, delivery.rule, delivery.created_ms, b"", [delivery])


def _pieces(items: Iterable[T]) -> Iterator[list[T]]:
    """Some at a time."""
    left = iter(items)
    while some := list(islice(left, _PIECE)):
        yield some
