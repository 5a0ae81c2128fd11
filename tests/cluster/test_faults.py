"""Processes that are paused, fed nonsense or left alone: nothing accepted is lost, nothing stale is stored."""

from __future__ import annotations

import asyncio
import json
import signal
from typing import TYPE_CHECKING, Any

import msgspec
from aiokafka import AIOKafkaProducer

from engine.rows import columns
from engine.wire import encode_frame
from nearcast.shard import ROWS_MAX
from tests.cluster.fleet import cluster_settings, fleet_of
from tests.live.load import Crowd
from tests.live.process import live, until
from tests.live.reckoning import IN, OUT, write_site
from tests.live.sink import sink_of
from tests.world import rows

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers

#: A frame as a later gateway may write it, in MessagePack: {"v": 9, "now_ms": 5, "inputs": []}.
OF_VERSION_9 = b"\x00\x83\xa1v\x09\xa6now_ms\x05\xa6inputs\x90"


def headers(record: Any) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


def short_of_a_column() -> bytes:
    """A frame whose columns do not fit together: a kernel would read behind the end of one."""
    good = columns([rows([{"device": "x", "time": 5, **IN}])])
    return encode_frame(5, [msgspec.structs.replace(good, lat=b"")])


def too_many_rows() -> bytes:
    """A frame with one row more than a shard folds at a time."""
    return encode_frame(5, [columns([rows([{"device": "x", "time": 5, **IN}] * (ROWS_MAX + 1))])])


async def produce(
    servers: Servers, topic: str, value: bytes, *, partition: int | None = None, key: bytes | None = None
) -> None:
    # packed, a record may be much larger than the broker lets one be
    producer = AIOKafkaProducer(
        bootstrap_servers=servers.kafka.brokers, compression_type="gzip", max_request_size=64 << 20
    )
    await producer.start()
    try:
        await producer.send_and_wait(topic, value, key=key, partition=partition)
    finally:
        await producer.stop()


@live(200)
async def test_what_cannot_be_folded_is_put_aside_and_harms_no_other(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "poison")
        site = write_site(tmp_path / "poison", settings=settings, sink=sink.url)
        async with fleet_of(site, servers, "poison", workers=1) as fleet:
            await fleet.gateway.consent(["u"])
            await produce(servers, "poison.pings", too_many_rows(), partition=0)
            for shard in range(4):
                for poison in (b"\x07 not a frame", OF_VERSION_9, short_of_a_column()):
                    await produce(servers, "poison.pings", poison, partition=shard)
            raw = {"device": "d", "user": "u", "time": fleet.gateway.now_ms(), **IN}
            await produce(servers, "poison.pings.raw", b"{nonsense", key=b"d")
            await produce(servers, "poison.pings.raw", json.dumps({**raw, "lat": 95}).encode(), key=b"d")
            await produce(servers, "poison.pings.raw", json.dumps(raw).encode(), key=b"d")
            await until(lambda: sink.keys, "the good ping's message is delivered", 30)
            worker = fleet.members["worker-1"]
            await until(lambda: len(worker.lines("a record was put aside")) == 13, "all are put aside")
            assert await worker.value("nearcast_frames_total", result="dead") == 13
            found = [headers(record) for record in await fleet.records("pings.dead")]
            reasons = sorted(h["reason"] for h in found if h["topic"] == "poison.pings")
            assert len(reasons) == 13
            assert sum("holds 200001 rows, at most 200000 are folded" in reason for reason in reasons) == 1
            assert sum("column `lat` has 0 bytes for 1 rows" in reason for reason in reasons) == 4
            assert sum("version 9, this program reads 1" in reason for reason in reasons) == 4
            assert len([h for h in found if h["topic"] == "poison.pings.raw"]) == 2
            assert await fleet.gateway.value("nearcast_pings_rejected_total", reason="out_of_range") == 1
            assert await worker.is_ready()


@live(240)
async def test_a_worker_that_was_paused_and_comes_back_changes_nothing(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "zombie")
        site = write_site(tmp_path / "zombie", settings=settings, sink=sink.url)
        devices = [f"z{n}" for n in range(40)]
        async with fleet_of(site, servers, "zombie") as fleet:
            await fleet.gateway.consent(devices)
            zombie, other = fleet.members["worker-1"], fleet.members["worker-2"]
            now_ms = fleet.gateway.now_ms() - 60_000
            await fleet.gateway.post(*({"device": d, "time": now_ms, **OUT} for d in devices))
            await fleet.folded()
            zombie.tell(signal.SIGSTOP)
            await fleet.gateway.post(*({"device": d, "time": now_ms + 1_000, **IN} for d in devices))

            async def taken_over() -> bool:
                return await other.value("nearcast_shards") == 4

            await until(taken_over, "the other has all shards", 60)
            await until(lambda: len(sink.keys) == len(devices), "all are told by the other", 30)
            before = await fleet.offsets()
            zombie.tell(signal.SIGCONT)
            await fleet.all_ready()
            await fleet.gateway.post(*({"device": d, "time": now_ms + 2_000, **OUT} for d in devices))
            await fleet.folded()
            after = await fleet.offsets()
            assert all(after[shard] >= before[shard] for shard in before)
            told = [json.loads(record.value) for record in await fleet.records("transitions")]
            kinds = {(t["device"], t["kind"]) for t in told}
            assert kinds == {(d, kind) for d in devices for kind in ("entered", "exited")}
            assert len({t["id"] for t in told}) == 2 * len(devices)
            assert len(sink.taken) == len(sink.keys) == len(devices)


@live(200)
async def test_redis_away_is_waited_for_and_nothing_is_lost(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "away")
        site = write_site(tmp_path / "away", settings=settings, sink=sink.url)
        devices = [f"a{n}" for n in range(40)]
        async with fleet_of(site, servers, "away", workers=1) as fleet:
            await fleet.gateway.consent(devices)
            worker = fleet.members["worker-1"]
            servers.redis.kill()
            now_ms = fleet.gateway.now_ms() - 60_000
            await fleet.gateway.post(*({"device": d, "time": now_ms, **IN} for d in devices))

            async def not_ready() -> bool:
                return not await worker.is_ready()

            await until(not_ready, "the worker says that it waits", 30)
            await asyncio.to_thread(servers.redis.start)
            await fleet.all_ready()
            await fleet.folded()
            assert sink.keys and len(sink.taken) == len(sink.keys) == len(devices)


@live(200)
async def test_the_broker_away_is_answered_503_and_nothing_is_lost(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "broker")
        site = write_site(tmp_path / "broker", settings=settings, sink=sink.url)
        devices = [f"b{n}" for n in range(20)]
        async with fleet_of(site, servers, "broker", workers=1) as fleet:
            await fleet.gateway.consent(devices)
            servers.kafka.tell(signal.SIGSTOP)
            try:
                ping = {"device": devices[0], "time": fleet.gateway.now_ms(), **OUT}
                async with fleet.gateway.http.post(fleet.gateway.url + "/v1/pings", json=[ping]) as response:
                    assert response.status == 503 and response.headers["Retry-After"] == "1"
                assert not await fleet.gateway.is_ready()
            finally:
                servers.kafka.tell(signal.SIGCONT)
            now_ms = fleet.gateway.now_ms() + 1_000
            crowd = Crowd(fleet.gateway, per_s=1_000)
            await crowd.post([{"device": d, "time": now_ms, **IN} for d in devices])
            await fleet.all_ready()
            await fleet.folded()
            assert len(sink.keys) == len(devices)
