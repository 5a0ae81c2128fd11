"""What would lose something is refused at the start, with a line that says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.cluster.fleet import cluster_settings, fleet_of, redis_command
from tests.live.process import command, live, nearcast
from tests.live.reckoning import IN, write_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers

ROLES = ("gateway", "worker", "dispatcher")


def refused(role: str, site: Path) -> str:
    """The last line of a role that must not start."""
    done = nearcast(role, site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1, (done.returncode, done.stderr)
    return done.stderr.strip().splitlines()[-1]


def a_site(folder: Path, servers: Servers, name: str, more: str = "") -> Path:
    return write_site(folder / name, settings=cluster_settings(servers, name) + more)


def make(site: Path) -> None:
    done = nearcast("worker", site, "--create-topics")
    assert done.returncode == 0, done.stderr


async def alter(servers: Servers, topic: str, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka.brokers)
    await admin.start()
    try:
        changed = {name.replace("_", "."): value for name, value in settings.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])
    finally:
        await admin.close()


@pytest.mark.parametrize("role", ROLES)
def test_missing_topics_are_named_with_the_command_that_makes_them(servers: Servers, tmp_path: Path, role: str) -> None:
    line = refused(role, a_site(tmp_path, servers, "missing"))
    assert "`missing.pings`" in line and "`nearcast worker SITE --create-topics`" in line


@live(200)
async def test_topics_that_lose_frames_are_refused(servers: Servers, tmp_path: Path) -> None:
    site = a_site(tmp_path, servers, "settings")
    make(site)
    await alter(servers, "settings.pings", cleanup_policy="compact", retention_ms="60000")
    done = await command("worker", site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    line = done.stderr.strip().splitlines()[-1]
    for part in (
        "is compacted",
        "keeps records for 60000 ms",
        "`message.timestamp.type=LogAppendTime`",
        "kafka-configs",
    ):
        assert part in line, line


def test_a_redis_that_evicts_is_refused(servers: Servers, tmp_path: Path) -> None:
    site = a_site(tmp_path, servers, "evicts")
    redis_command(servers, "CONFIG", "SET", "maxmemory", "1gb")
    redis_command(servers, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        assert "set `maxmemory-policy noeviction`" in refused("dispatcher", site)
    finally:
        redis_command(servers, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        redis_command(servers, "CONFIG", "SET", "maxmemory", "0")


@live(240)
async def test_state_that_does_not_fit_the_topics_is_refused(servers: Servers, tmp_path: Path) -> None:
    site = a_site(tmp_path, servers, "unfit")
    async with fleet_of(site, servers, "unfit", workers=1) as fleet:
        await fleet.gateway.post({"device": "d", "time": fleet.gateway.now_ms(), **IN})
        await fleet.folded()
    other = write_site(tmp_path / "other", settings=cluster_settings(servers, "unfit") + "timezone: UTC\n", rules="")
    for file in other.rglob("*.*"):
        file.write_text(file.read_text() + "\n")
    done = await command("worker", other, "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "choose another `cluster.name`" in done.stderr, done.stderr
    shard = next(n for n in range(4) if redis_command(servers, "HGET", f"{{unfit.{n}}}:shard", "o"))
    redis_command(servers, "HSET", f"{{unfit.{shard}}}:shard", "o", "1000000")
    done = await command("worker", site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "the topic was made anew" in done.stderr, done.stderr
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka.brokers)
    await admin.start()
    await admin.create_partitions({"unfit.pings": NewPartitions(8)})
    await admin.close()
    done = await command("gateway", site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert "has 8 partitions, but the state in redis is of 4" in done.stderr


def test_a_gateway_open_to_others_needs_keys(servers: Servers, tmp_path: Path) -> None:
    site = a_site(tmp_path, servers, "open")
    make(site)
    done = nearcast("gateway", site, "--listen", "0.0.0.0:0")
    assert done.returncode == 1 and "needs ingest and admin keys" in done.stderr
