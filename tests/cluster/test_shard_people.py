"""People whom several shards judge at once: caps hold, a record folded again says the same, a timer finds everybody."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from connectors.clock import MachineClock
from connectors.kafka_partition import Partitions
from connectors.kafka_reader import KafkaReader
from connectors.kafka_topics import Names, make_topics
from connectors.kafka_writer import KafkaWriter
from connectors.metrics import Metrics
from connectors.redis_client import RedisClient
from connectors.redis_people import RedisPeople
from connectors.redis_places import RedisPlaces
from connectors.redis_shards import RedisShards
from connectors.redis_sites import RedisSites
from engine.decided import decode_decided
from engine.rows import columns
from engine.sense import Sense
from engine.settings import ClusterSettings, Keep
from engine.step import Engine
from engine.wire import UserChanged, encode_frame
from nearcast.shard import LostError, Shard
from nearcast.shard_beat import Beat
from nearcast.shard_parts import Parts
from nearcast.shard_people import ShardPeople
from nearcast.site_keeper import SiteKeeper
from rules.facts import Outcome
from tests.cluster.fleet import brokers_of, read_topic
from tests.cluster.servers import free_port
from tests.world import T0, at, circle, files_of, rows

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.batch import Rows
    from engine.step import Sensed
    from engine.wire import Located
    from nearcast.shard_parts import Outcome as Written
    from tests.cluster.conftest import Servers

RULES = """
id: scarce
state: live
max_event_age: 1h
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: marketing}]}
limits: {cooldown: none, caps: [{scope: rule, max: 1, per: 7d}]}
actions: [{push: {template: hello}}]
---
id: noon
state: live
max_event_age: 10m
trigger: {event: timer, days: [mon, tue, wed, thu, fri, sat, sun], at: "12:00", timezone: UTC}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
"""
SHARDS = 3


def judging(servers: Servers, ask: Callable[[Parts], Awaitable[None]]) -> None:
    """Do something with the parts of a worker over the real Redis."""

    async def main() -> None:
        redis, clock, name = RedisClient(servers.redis.url), MachineClock(), f"t-{free_port()}"
        keeper = SiteKeeper(RedisSites(redis, name, 60_000), clock, "test")
        brokers = brokers_of(servers.kafka)
        await make_topics(brokers, ClusterSettings(name=name, partitions=SHARDS, replicas=1), Keep())
        await keeper.start(files_of([circle("shop")], rules=RULES, settings="detection: {preset: instant}\n"))
        parts = Parts(
            Names(name), Partitions(SHARDS), RedisShards(redis, name), RedisPeople(redis, name, 600_000),
            RedisPlaces(redis, name), keeper, KafkaReader(brokers, f"{name}.pings", client="t"),
            KafkaWriter(brokers, client="t", clock=clock), Metrics(), clock,
            Beat(clock.monotonic_s),
        )  # fmt: skip
        await parts.reader.start()
        await parts.writer.start()
        try:
            await ask(parts)
        finally:
            await parts.reader.stop()
            await parts.writer.stop()
            await redis.close()

    asyncio.run(main())


def entering(engine: Engine, device: str, user: str, now_ms: int) -> Sensed:
    lat, lng = at(0)
    return engine.sensed(
        [columns([rows([{"device": device, "time": now_ms, "lat": lat, "lng": lng, "user": user}])])], now_ms
    )


async def consenting(parts: Parts, engine: Engine, users: list[str]) -> None:
    for shard in range(SHARDS):
        own = [UserChanged(u, {}, {"marketing": True}) for u in users if parts.partitions.of(u) == shard]
        await ShardPeople(parts, shard).judge([(0, 0.0, engine.sensed(own, T0))], parts.sites.site)


def sends(outcome: Written) -> list[str]:
    return [d.key for made in outcome.decided.values() for _, d, _ in made if d.outcome is Outcome.SEND]


def test_a_cap_is_never_exceeded_when_many_shards_race_for_it(servers: Servers) -> None:
    async def ask(parts: Parts) -> None:
        site = parts.sites.site
        await consenting(parts, Engine(site, T0), ["u"])
        steps = []
        for n in range(24):  # as many devices of one person, each in an engine and a shard of its own
            sensed = entering(Engine(site, T0), f"d{n}", "u", T0 + 1_000)
            steps.append(ShardPeople(parts, 10 + n).judge([(1, 0.0, sensed)], site))
        outcomes = [outcome for outcome, _ in await asyncio.gather(*steps)]
        assert sum(len(sends(outcome)) for outcome in outcomes) == 1
        assert sum(len(made) for outcome in outcomes for made in outcome.decided.values()) == 24

    judging(servers, ask)


def test_a_record_that_is_folded_again_writes_out_what_it_wrote_before(servers: Servers) -> None:
    async def ask(parts: Parts) -> None:
        site, people = parts.sites.site, ShardPeople(parts, 1)
        await consenting(parts, Engine(site, T0), ["u", "v"])
        engine = Engine(site, T0)
        records: list[Any] = [(5 + n, 3.5, entering(engine, f"d{n}", "uv"[n % 2], T0 + 1_000 * n)) for n in range(4)]
        first, _ = await people.judge(records, site)
        before = sorted(await people.written(first))
        again, _ = await people.judge(records[:2], site)
        rest, _ = await people.judge(records[2:], site)
        assert not any(again.decided.values()) and not any(rest.decided.values())
        assert sorted([*await people.written(again), *await people.written(rest)]) == before
        assert len(before) == 4 and len(sends(first)) == 2
        sent = [decode_decided(value) for _, value in before if decode_decided(value).deliveries]
        assert {(one.shard, one.deliveries[0].received_ms) for one in sent} == {(1, 3.5)}

    judging(servers, ask)


def test_a_timer_finds_everybody_once_however_often_it_is_folded(servers: Servers) -> None:
    async def ask(parts: Parts) -> None:
        site, users = parts.sites.site, [f"u{n}" for n in range(30)]
        await consenting(parts, Engine(site, T0), users)
        engine = Engine(site, T0)
        due_ms = engine.next_due_ms()
        assert due_ms is not None
        rung = engine.sensed([], due_ms)
        made: list[str] = []
        for shard in (0, 1, 2, 1, 0):
            outcome, _ = await ShardPeople(parts, shard).judge([(9, 0.0, rung)], site)
            made += [d.user for decided in outcome.decided.values() for _, d, _ in decided]
        assert sorted(made) == sorted(users)

    judging(servers, ask)


async def write_frames(parts: Parts, shard: int, devices: list[str], second: int = 1) -> None:
    for device in devices:
        lat, lng = at(0)
        ping = {"device": device, "time": T0 + 1_000 * second, "lat": lat, "lng": lng, "user": "u"}
        await parts.writer.write(parts.names.pings, encode_frame(T0, [columns([rows([ping])])]), partition=shard)


def test_a_record_whose_fold_fails_is_found_among_its_neighbours_and_put_aside(
    servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows_of = Sense.rows

    def failing(self: Sense, batch: Located, *more: Any) -> Rows:
        if "bad" in batch.strings:
            raise ZeroDivisionError("a fault of ours")
        return rows_of(self, batch, *more)

    async def ask(parts: Parts) -> None:
        monkeypatch.setattr(Sense, "rows", failing)
        await write_frames(parts, 1, ["a", "b", "bad", "c"])
        shard = Shard(1, parts)
        await shard.load()
        await shard.catch_up()
        assert shard.offset == 3
        again = Shard(1, parts)
        await again.load()
        assert (again.offset, again.devices) == (3, 3)
        (dead,) = await read_topic(servers.kafka.brokers, parts.names.dead)
        told = {name: value.decode() for name, value in dead.headers}
        assert told["reason"] == "cannot be folded: ZeroDivisionError: a fault of ours" and told["offset"] == "2"

    judging(servers, ask)


def test_a_worker_whose_shard_another_stored_since_changes_nothing(servers: Servers) -> None:
    async def ask(parts: Parts) -> None:
        late, owner = Shard(1, parts), Shard(1, parts)
        await late.load()
        await owner.load()
        await write_frames(parts, 1, ["a", "b"])
        await owner.catch_up()
        stored = await parts.shards.read(1)
        with pytest.raises(LostError, match="was stored by another worker up to record 1"):
            await late.catch_up()
        assert await parts.shards.read(1) == stored and not late.loaded
        await write_frames(parts, 1, ["c"], second=2)
        await owner.catch_up()
        assert owner.offset == 2

    judging(servers, ask)


def test_a_worker_counts_the_duplicates_that_no_gateway_knew(servers: Servers) -> None:
    async def ask(parts: Parts) -> None:
        await write_frames(parts, 1, ["a", "b", "a"])
        shard = Shard(1, parts)
        await shard.load()
        await shard.catch_up()
        assert b"\nnearcast_pings_duplicate_total 1.0\n" in parts.metrics.render()[0]

    judging(servers, ask)
