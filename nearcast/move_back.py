"""The state of a cluster gathered into one process: an engine, and a new store with what was decided and delivered.

Owns what must be so before: every role has ended, and each shard is folded to its end under one version of the site. So
what is gathered is all there is. Changes nothing of the cluster. Must not know how any of it is kept.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from connectors.kafka_admin import committed_of, members_of
from connectors.kafka_reader import KafkaReader
from connectors.kafka_topics import Names
from connectors.redis_deliveries import KeptDelivery, RedisDeliveries
from connectors.redis_people import RedisPeople
from connectors.redis_shards import RedisShards
from engine.apart import take_persons
from engine.decided import decode_decided
from engine.person import read_person
from engine.ports import Checkpoint, DeliveryState, StoreError
from engine.shard import read_meta, unpack_devices
from engine.snapshot import snapshot
from engine.step import Engine
from engine.timers import Timers
from engine.wire import FrameError, decode_frame
from nearcast.cluster import settled
from nearcast.move_over import Moved
from nearcast.recover import compiled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from connectors.kafka_brokers import Brokers
    from connectors.redis_client import RedisClient
    from connectors.redis_shards import StoredShard
    from connectors.redis_sites import RedisSites
    from connectors.store_sqlite import SqliteStore
    from engine.ports import Delivery
    from engine.settings import Settings
    from engine.shard import ShardMeta
    from engine.site import Site

#: The frame that a gathered state is said to be of: those of `run` follow it.
_FRAME = 1


class Gatherer:
    """Gathers a cluster's state into a new store."""

    def __init__(self, settings: Settings, brokers: Brokers, redis: RedisClient) -> None:
        name, keep = settings.cluster.name, settings.keep
        self._settings, self._brokers, self._redis, self._names = settings, brokers, redis, Names(name)
        self._shards = RedisShards(redis, name)
        self._people = RedisPeople(redis, name, keep.decisions_ms)
        self._deliveries = RedisDeliveries(redis, name, keep.decisions_ms)
        self._moved = Moved()

    async def run(self, store: SqliteStore, now_ms: int) -> Moved:
        """Gather it all. Raises `StoreError`: before anything is written, or else the store is of no use."""
        sites, count = await settled(self._settings, self._brokers, self._redis)
        stored = await self._at_rest(count)
        files, metas = await self._in_force(sites, stored)
        site = compiled(files, was_in_force=True)
        engine = Engine(site, max((meta.now_ms for meta in metas.values()), default=now_ms))
        for shard, meta in metas.items():
            _refuse_unrung(site, shard, meta.now_ms, engine.now_ms)
        for shard, meta in metas.items():
            async for piece in self._shards.devices(shard, stored[shard].generation):
                unpack_devices(engine.sense, meta, piece)
        engine.sense.reschedule()
        self._moved.devices = len(engine.sense.devices)
        handed = await self._not_done(count)
        for shard in range(count):
            async for users in self._people.of_shard(shard):
                await self._take_people(engine, store, sorted(set(users) - engine.people.users.keys()), handed)
        store.take_in(Checkpoint(_FRAME, engine.now_ms, snapshot(engine)), site.version, files)
        return self._moved

    async def _at_rest(self, count: int) -> list[StoredShard]:
        """The shards of a cluster that nobody works on. Raises `StoreError` when somebody does, or should."""
        names = self._names
        groups = [names.group(role) for role in ("gateway", "worker", "dispatcher")]
        for group, members in (await members_of(self._brokers, f"{names.name}-move", groups)).items():
            if members:
                raise StoreError(
                    f"group `{group}` has {members} members still: end all gateways, workers and dispatchers; one that"
                    " had a name, or was killed, is gone after `cluster.session`"
                )
        stored = await self._shards.read_many(range(count))
        async with self._reading(names.pings) as reader:
            begins, ends = await reader.begins(range(count)), await reader.ends(range(count))
            for shard, one in enumerate(stored):
                first = begins[shard] if one.meta is None else one.offset + 1
                if not await _only_ticks(reader, shard, first, ends[shard]):
                    raise StoreError(
                        f"shard {shard} is folded up to record {one.offset}, but `{names.pings}` ends before"
                        f" {ends[shard]}: start workers, without gateways, until `nearcast_lag_records` is 0"
                    )
        return stored

    @asynccontextmanager
    async def _reading(self, topic: str) -> AsyncIterator[KafkaReader]:
        reader = KafkaReader(self._brokers, topic, client=f"{self._names.name}-move")
        await reader.start()
        try:
            yield reader
        finally:
            await reader.stop()

    async def _in_force(
        self, sites: RedisSites, stored: list[StoredShard]
    ) -> tuple[dict[str, bytes], dict[int, ShardMeta]]:
        """The files of the version that is in force in all shards, and what each of these says of itself."""
        wanted = await sites.wanted()
        metas = {shard: read_meta(one.meta) for shard, one in enumerate(stored) if one.meta is not None}
        files = await sites.files(wanted.version) if wanted.seq else None
        if files is None:
            raise StoreError(f"`cluster.redis` keeps nothing of a cluster `{self._names.name}`")
        if any(meta.seq != wanted.seq for meta in metas.values()):
            raise StoreError("an edit of the site is not in force in every shard: start workers until it is")
        return files, metas

    async def _not_done(self, count: int) -> dict[str, dict[str, KeptDelivery]]:
        """What dispatchers did not say is done, by user and key: some of it has ended, and is known to have."""
        names = self._names
        found: dict[str, dict[str, KeptDelivery]] = {}
        done = await committed_of(self._brokers, f"{names.name}-move", names.group("dispatcher"), names.decisions)
        async with self._reading(names.decisions) as reader:
            begins, ends = await reader.begins(range(count)), await reader.ends(range(count))
            for partition, end in ends.items():
                first = max(done.get(partition, 0), begins[partition])
                async with aclosing(reader.stretch(partition, first, end)) as stretch:
                    async for records in stretch:
                        for decided in (decode_decided(record.value) for record in records):
                            for delivery in decided.deliveries:
                                mine = found.setdefault(delivery.user, {})
                                mine[delivery.key] = KeptDelivery(delivery, decided.again)
        return found

    async def _take_people(
        self, engine: Engine, store: SqliteStore, users: list[str], handed: dict[str, dict[str, KeptDelivery]]
    ) -> None:
        """These users, with what was decided about them and what became of it."""
        read = (await self._people.read(users)).values()
        persons = [read_person(one.value) for one in read if one.value is not None]
        names = [person.user.id for person in persons]
        kept = await asyncio.gather(*map(self._people.decisions, names))
        decided = sorted(map(decode_decided, chain.from_iterable(kept)), key=lambda one: (one.time_ms, one.key))
        asked = (self._deliveries_of(name, handed.get(name, {}), engine.now_ms) for name in names)
        found = chain.from_iterable(await asyncio.gather(*asked))
        turn = {one.key: n for n, one in enumerate(chain.from_iterable(made.deliveries for made in decided))}
        deliveries = sorted(found, key=lambda one: (one.created_ms, turn.get(one.key, 0)))
        store.write_kept(decided, deliveries)
        take_persons(engine, persons)
        self._moved.users += len(persons)
        self._moved.decisions += len(decided)
        self._moved.deliveries += len(deliveries)
        self._moved.pending += sum(one.state is DeliveryState.PENDING for one in deliveries)

    async def _deliveries_of(self, user: str, handed: dict[str, KeptDelivery], now_ms: int) -> list[Delivery]:
        """A user's deliveries as they stand. What is handed on and not noted yet is pending, and so is one anew."""
        found = {one.delivery.key: one for one in await self._deliveries.of_user(user)}
        for key, one in handed.items():
            known = found.get(key)
            if known is None or known.again < one.again:
                found[key] = _anew(one, now_ms) if one.again else one
        return [one.delivery for one in found.values()]


async def _only_ticks(reader: KafkaReader, shard: int, first: int, until: int) -> bool:
    """Whether records say nothing but that a timer was due, which whoever goes on sees without them."""
    async with aclosing(reader.stretch(shard, first, until)) as stretch:
        async for records in stretch:
            try:
                if any(decode_frame(record.value).inputs for record in records):
                    return False
            except FrameError:
                return False
    return True


def _refuse_unrung(site: Site, shard: int, from_ms: int, until_ms: int) -> None:
    """One process has one clock: what other shards have heard ring must have rung in this one too."""
    timers = Timers(site)
    timers.start(from_ms)
    due_ms = timers.next_due_ms()
    if due_ms is not None and due_ms <= until_ms:
        raise StoreError(f"a rule's timer is due in shard {shard}: start workers, without gateways, for a moment")


def _anew(one: KeptDelivery, now_ms: int) -> KeptDelivery:
    """A delivery that somebody had sent again, and that nobody has taken up yet."""
    delivery = one.delivery
    fresh = replace(
        delivery, state=DeliveryState.PENDING, attempts=0, attempt_open=False, ended_ms=None, detail="",
        received_ms=None, expires_ms=now_ms + delivery.expires_ms - delivery.created_ms,
    )  # fmt: skip
    return KeptDelivery(fresh, one.again)
