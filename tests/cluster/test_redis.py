"""What Redis keeps of a cluster: compared before it is set, on one Redis and on a Redis Cluster alike."""

from __future__ import annotations

import asyncio
import subprocess
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from connectors.redis_client import RedisClient, RefusedError, check_redis
from connectors.redis_deliveries import KeptDelivery, RedisDeliveries
from connectors.redis_people import Change, RedisPeople
from connectors.redis_places import RedisPlaces
from connectors.redis_shards import RedisShards, StoredShard
from connectors.redis_sites import RedisSites
from engine.ports import AwayError, Delivery, DeliveryState
from tests.cluster.servers import Redis, free_port, need_servers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from tests.cluster.conftest import Servers


class Node(Redis):
    """One of a Redis Cluster."""

    options = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Node]]:
    need_servers()
    found = [Node(tmp_path_factory.mktemp("node"), _low_port()) for _ in range(3)]
    try:
        for node in found:
            node.start()
        words = ["redis-cli", "--cluster", "create", *(f"127.0.0.1:{n.port}" for n in found), "--cluster-yes"]
        assert subprocess.run(words, capture_output=True, check=False, timeout=60).returncode == 0
        deadline = time.monotonic() + 60
        while not all(map(_is_whole, found)):
            assert time.monotonic() < deadline, "the nodes do not become a cluster"
        yield found
    finally:
        for node in found:
            node.stop()


def _is_whole(node: Node) -> bool:
    words = ["redis-cli", "-p", str(node.port), "CLUSTER", "INFO"]
    told = subprocess.run(words, capture_output=True, text=True, check=True, timeout=30).stdout
    return "cluster_state:ok" in told and "cluster_slots_ok:16384" in told


def _low_port() -> int:
    """A free port whose bus port, 10,000 higher, is a port too."""
    while (port := free_port()) > 55_000:
        continue
    return port


@pytest.fixture(params=["one", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "one":
        servers: Servers = request.getfixturevalue("servers")
        return servers.redis.url
    nodes: list[Node] = request.getfixturevalue("nodes")
    return f"redis+cluster://127.0.0.1:{nodes[0].port}"


def asking(url: str, ask: Callable[[RedisClient], Awaitable[Any]]) -> Any:
    """Do something with a client, and close it."""

    async def main() -> Any:
        redis = RedisClient(url)
        try:
            return await ask(redis)
        finally:
            await redis.close()

    return asyncio.run(main())


def test_a_shard_is_set_only_by_who_knows_its_offset(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        shards = RedisShards(redis, f"t-{free_port()}")
        first, second = StoredShard(4, "0", b"m4"), StoredShard(9, "0", b"m9")
        assert await shards.read(1) == StoredShard()
        assert await shards.store(1, StoredShard(), first, {"a": b"1", "b": b"2"}) is None
        assert await shards.store(1, StoredShard(), second, {"a": b"stale"}) == 4
        assert await shards.store(1, first, second, {"b": b"3"}, ["a"]) is None
        assert await shards.read_many([1, 2]) == [second, StoredShard()]
        assert [pair async for piece in shards.devices(1, "0") for pair in piece] == [("b", b"3")]

    asking(url, ask)


def test_a_new_generation_is_seen_whole_or_not_at_all(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        shards = RedisShards(redis, f"t-{free_port()}")
        devices = {f"d{n}": b"x" * 100 for n in range(2_500)}
        old, new = StoredShard(4, "0", b"m"), StoredShard(5, "7-abc", b"n")
        assert await shards.store(1, StoredShard(), old, devices) is None
        assert await shards.store(1, StoredShard(3, "0"), replace(new, generation="7-def"), devices) == 4
        assert await shards.read(1) == old
        assert await shards.store(1, old, new, devices) is None
        found = {name async for piece in shards.devices(1, new.generation) for name, _ in piece}
        assert found == devices.keys()
        assert [piece async for piece in shards.devices(1, "0") if piece] == []

    asking(url, ask)


def test_a_person_is_set_only_by_who_read_the_newest_and_the_first_decision_stands(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        people = RedisPeople(redis, f"t-{free_port()}", 60_000)
        odd = "u{}%-ü"
        assert (await people.read([odd]))[odd].value is None
        assert await people.store([Change(odd, 0, b"1", {"k": b"first"})], {odd: 3}) == [True]
        assert await people.store([Change(odd, 0, b"stale")], {}) == [False]
        assert await people.store([Change(odd, 1, b"2", {"k": b"again", "l": b"new"})], {}) == [["k"]]
        assert await people.store([Change(odd, 1, b"2", {"l": b"new"}), Change("v", 0, b"v")], {}) == [True, True]
        assert (await people.read([odd]))[odd].value == b"2"
        assert await people.decided(odd, ["k", "l", "m"]) == [b"first", b"new", None]
        assert [name async for piece in people.of_shard(3) for name in piece] == [odd]

    asking(url, ask)


def test_a_script_that_redis_forgot_is_brought_again(url: str, request: pytest.FixtureRequest) -> None:
    many = "+cluster" in url
    servers = request.getfixturevalue("nodes") if many else [request.getfixturevalue("servers").redis]

    async def ask(redis: RedisClient) -> None:
        shards = RedisShards(redis, f"t-{free_port()}")
        assert await shards.store(1, StoredShard(), StoredShard(1, "0", b"m"), {}) is None
        for server in servers:
            subprocess.run(["redis-cli", "-p", str(server.port), "SCRIPT", "FLUSH"], check=True, timeout=30)
        assert await shards.store(1, StoredShard(1), StoredShard(2, "0", b"m"), {}) is None

    asking(url, ask)


def test_deliveries_are_listed_by_how_they_stand(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        deliveries = RedisDeliveries(redis, f"t-{free_port()}", 60_000)
        made = [Delivery(f"k{n}", f"d{n}", "r", "u", "push", b"{}", 100 + n, 200) for n in range(3)]
        await deliveries.write([KeptDelivery(d) for d in made])
        failed = replace(made[1], state=DeliveryState.FAILED, ended_ms=150)
        await deliveries.write([KeptDelivery(failed)])
        assert [k.delivery.key for k in await deliveries.listed(DeliveryState.PENDING, 10)] == ["k2", "k0"]
        assert [k.delivery for k in await deliveries.listed(DeliveryState.FAILED, 10)] == [failed]
        await deliveries.write([KeptDelivery(made[1], again=1)])
        assert await deliveries.listed(DeliveryState.FAILED, 10) == []
        assert len(await deliveries.listed(None, 2)) == 2
        await deliveries.drop([KeptDelivery(made[2])])
        assert sorted(k.delivery.key for k in await deliveries.of_user("u")) == ["k0", "k1"]
        assert [k and k.delivery.key for k in await deliveries.read(["k1", "k2"])] == ["k1", None]
        assert [await deliveries.claim("k0", n) for n in (1, 1, 2)] == [True, False, True]
        await deliveries.unclaim("k0", 1)
        assert await deliveries.claim("k0", 1)
        await deliveries.forget("u")
        assert await deliveries.listed(None, 10) == [] and await deliveries.read(["k0"]) == [None]

    asking(url, ask)


def test_of_two_who_want_a_version_one_is_first_and_numbers_grow(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        sites = RedisSites(redis, f"t-{free_port()}", 60_000)
        one = await sites.want("v1", {"a": b"1"}, instead_of="", now_ms=50, by="w")
        other = await sites.want("v2", {"a": b"2"}, instead_of="", now_ms=60, by="x")
        assert (one.seq, one.version) == (50, "v1") and other.version == "v1"
        third = await sites.want("v3", {"a": b"3", "b": b""}, instead_of="v1", now_ms=40, by="x")
        assert third.seq == 51 and (await sites.wanted()).version == "v3"
        assert await sites.files("v3") == {"a": b"3", "b": b""}
        assert await sites.is_known("v1") and not await sites.is_known("v2")
        assert await sites.settle_shards(12) == await sites.settle_shards(16) == 12

    asking(url, ask)


def test_an_empty_place_has_nobody(url: str) -> None:
    async def ask(redis: RedisClient) -> None:
        assert await RedisPlaces(redis, f"t-{free_port()}").at("shop") == {}

    asking(url, ask)


def test_a_redis_that_is_not_there_is_away() -> None:
    async def ask(redis: RedisClient) -> None:
        with pytest.raises(AwayError, match="redis does not answer"):
            await redis.ask("PING")

    asking("redis://127.0.0.1:9/0", ask)


def test_a_redis_that_asks_for_no_password_refuses_one(servers: Servers) -> None:
    async def ask(redis: RedisClient) -> None:
        with pytest.raises(RefusedError, match=r"redis refuses the login that `cluster\.redis` names"):
            await redis.ask("PING")

    asking(servers.redis.url.replace("//", "//:password@"), ask)


def test_what_a_power_cut_would_lose_is_said_where_redis_may_be_asked(url: str, request: pytest.FixtureRequest) -> None:
    many = "+cluster" in url
    servers = request.getfixturevalue("nodes") if many else [request.getfixturevalue("servers").redis]

    def told(*words: str) -> list[str]:
        for server in servers:
            subprocess.run(["redis-cli", "-p", str(server.port), *words], check=True, timeout=30, capture_output=True)
        return asking(url, check_redis)

    try:
        assert told("PING") == []
        [warning] = told("CONFIG", "SET", "appendfsync", "everysec")
        assert "(`appendfsync everysec`)" in warning and "set `appendfsync always`" in warning
        assert told("ACL", "SETUSER", "default", "-config") == []
    finally:
        told("ACL", "SETUSER", "default", "+config")
        told("CONFIG", "SET", "appendfsync", "always")
