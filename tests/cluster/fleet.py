"""Gateways, workers and dispatchers as child processes, over real servers, and what they wrote.

Owns starting and ending them, and reading topics from outside. Of the product only how its clients are told of a broker
is imported, for tests that make one.
"""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from connectors.kafka_brokers import Brokers
from engine.settings import ClusterSettings
from tests.live.process import NEARCAST, Process, command, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.cluster.conftest import Servers
    from tests.cluster.servers import Kafka

SHARDS = 4


@dataclass
class Member(Process):
    """One process of a role."""

    role: str = "worker"
    name: str = ""
    options: tuple[str, ...] = ()

    @property
    def log_file(self) -> Path:
        return self.site.with_name(f"{self.site.name}.{self.name}.log")

    def launch(self) -> None:
        self.log_file.touch()
        self._read = self.log_file.stat().st_size
        words = [NEARCAST, self.role, str(self.site), "--listen", "127.0.0.1:0", *self.options]
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(words, stdout=log, stderr=log)


@dataclass
class Fleet:
    """A cluster's processes. `gateway` is the first of its role."""

    name: str
    servers: Servers
    members: dict[str, Member] = field(default_factory=dict)

    @property
    def gateway(self) -> Member:
        return self.members["gateway-1"]

    def of(self, role: str) -> list[Member]:
        return [member for member in self.members.values() if member.role == role]

    async def all_ready(self) -> None:
        """Wait until each of them is ready, and every shard has its worker."""
        for member in self.members.values():
            await until(member.is_ready, f"{member.name} is ready", 60)

        async def all_held() -> bool:
            held = [await worker.value("nearcast_shards") for worker in self.of("worker") if worker.alive]
            return sum(held) == SHARDS

        await until(all_held, "every shard is held", 60)

    async def worked(self) -> None:
        """Wait until all that was written is folded."""

        async def at_rest() -> bool:
            ends = await ends_of(self.servers.kafka.brokers, f"{self.name}.pings")
            return ends == await self.offsets()

        await until(at_rest, "all is folded", 90, 0.1)

    async def folded(self) -> None:
        """Wait until all that was written is folded, and every delivery has ended."""
        await self.worked()

        async def ended() -> bool:
            # not the gauge of the lag: it is as old as a dispatcher's last fetch, and a broker may just be back
            ends = await ends_of(self.servers.kafka.brokers, f"{self.name}.decisions")
            return ends == await self.done()

        await until(ended, "all is delivered", 90, 0.1)

    async def done(self) -> dict[int, int]:
        """For each partition of decisions the offset before which every delivery has ended, said by dispatchers."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.servers.kafka.brokers)
        await admin.start()
        try:
            said = await admin.list_consumer_group_offsets(f"{self.name}.dispatcher")
        finally:
            await admin.close()
        return dict.fromkeys(range(SHARDS), 0) | {at.partition: max(0, told.offset) for at, told in said.items()}

    async def offsets(self) -> dict[int, int]:
        """For each shard the offset after the one that is stored."""
        found = {}
        for shard in range(SHARDS):
            text = await asyncio.to_thread(redis_command, self.servers, "HGET", f"{{{self.name}.{shard}}}:shard", "o")
            found[shard] = int(text) + 1 if text else 0
        return found

    async def records(self, topic: str) -> list[Any]:
        """Every record of one of the cluster's topics."""
        return await read_topic(self.servers.kafka.brokers, f"{self.name}.{topic}")


def redis_command(servers: Servers, *words: str) -> str:
    """What `redis-cli` answers."""
    done = subprocess.run(
        ["redis-cli", "-p", str(servers.redis.port), *words], capture_output=True, text=True, check=True, timeout=30
    )
    return done.stdout.strip()


def brokers_of(kafka: Kafka) -> Brokers:
    """A broker as the product's own clients are told of it."""
    return Brokers(ClusterSettings(brokers=(kafka.brokers,)))


def cluster_settings(servers: Servers, name: str, more: str = "") -> str:
    """The settings' block for these servers."""
    return (
        f'cluster: {{name: {name}, brokers: ["{servers.kafka.brokers}"], redis: "{servers.redis.url}",'
        f" partitions: {SHARDS}, replicas: 1, session: 6s{more}}}\n"
    )


@asynccontextmanager
async def fleet_of(site: Path, servers: Servers, name: str, *, workers: int = 2) -> AsyncIterator[Fleet]:
    """A gateway, some workers and a dispatcher, ready; killed at the end whatever happened."""
    made = await command("worker", site, "--create-topics")
    assert made.returncode == 0, made.stderr
    fleet = Fleet(name, servers)
    roles = [("gateway", 1), ("dispatcher", 1), *(("worker", n + 1) for n in range(workers))]
    async with AsyncExitStack() as stack:
        for role, number in roles:
            member = Member(site, role=role, name=f"{role}-{number}")
            fleet.members[member.name] = member
            await stack.enter_async_context(member.client())
            stack.push_async_callback(_killed, member)
            member.launch()
        for member in fleet.members.values():
            await member.started()
        await fleet.all_ready()
        yield fleet


async def _killed(member: Member) -> None:
    if member.alive:
        await member.kill()


async def ends_of(brokers: str, topic: str) -> dict[int, int]:
    """For each partition the offset that the next record gets."""
    async with _reader(brokers) as consumer:
        partitions = _partitions(topic)
        ends = await consumer.end_offsets(partitions)
        return {at.partition: end for at, end in ends.items()}


async def read_topic(brokers: str, topic: str) -> list[Any]:
    """Every record of a topic, partition by partition."""
    async with _reader(brokers) as consumer:
        partitions = _partitions(topic)
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        while any([await consumer.position(at) < ends[at] for at in partitions]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
        return found


@asynccontextmanager
async def _reader(brokers: str) -> AsyncIterator[Any]:
    consumer = AIOKafkaConsumer(bootstrap_servers=brokers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        yield consumer
    finally:
        await consumer.stop()


def _partitions(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, p) for p in range(1 if topic.endswith(".dead") else SHARDS)]
