"""The lab: one cluster of real processes over a real Kafka and Redis, on free ports, in one folder.

Owns starting, ending and asking. What is posted is `lab_load`'s, what is broken `lab_faults`', what must come of it
`lab_reckoning`'s. Of the product only forms are imported, to read what Kafka and Redis hold.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import subprocess
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
from aiokafka import AIOKafkaConsumer, TopicPartition

from connectors.kafka_partition import Partitions
from connectors.kafka_topics import Names
from connectors.redis_client import RedisClient
from connectors.redis_deliveries import RedisDeliveries
from engine.decided import decode_decided
from engine.ports import DeliveryState
from engine.wire import Located, decode_frame
from tests.cluster.lab_world import KNOWN, World, write_lab_site
from tests.cluster.servers import Kafka, Redis, free_port, need_servers
from tests.live.process import NEARCAST, Process, command, until
from tests.live.sink import Sink, sink_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

PARTITIONS = 8
#: The product's own: a worker that is started again is there within it, on a busy machine too.
SESSION_S = 10
_TOLD_AT_ONCE = 500
#: What is recorded at all is so within this, on however busy a machine.
_LATE_S = 60.0


@dataclass
class Role(Process):
    """One process of a role, through all its lives. `port` stays the same, as a supervisor would have it."""

    role: str = ""
    name: str = ""
    words: tuple[str, ...] = ()

    @property
    def log_file(self) -> Path:
        return self.site.with_name(f"{self.name}.log")

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self.log_file.touch()
        self._read = self.log_file.stat().st_size
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen([NEARCAST, self.role, str(self.site), *self.words], stdout=log, stderr=log)

    def all_lines(self) -> list[dict[str, Any]]:
        """The lines of all its lives."""
        return self.said(0)


@dataclass(frozen=True)
class Kill:
    """A dispatcher was killed: when, by the loop's clock, and the keys that were taken and not recorded by then."""

    at_s: float
    unrecorded: frozenset[str]


@dataclass
class Lab:
    """A running cluster. It is what a `Crowd` posts to: `url` goes round the gateways, as a balancer does."""

    folder: Path
    site: Path
    kafka: Kafka
    redis: Redis
    sink: Sink
    gateways: list[Role] = field(default_factory=list)
    workers: list[Role] = field(default_factory=list)
    dispatchers: list[Role] = field(default_factory=list)
    http: aiohttp.ClientSession = field(init=False)
    kills: list[Kill] = field(default_factory=list)
    _asked: int = 0
    _made: int = 0

    @property
    def url(self) -> str:
        """The next gateway."""
        self._asked += 1
        return self.gateways[self._asked % len(self.gateways)].url

    @property
    def roles(self) -> list[Role]:
        return [*self.gateways, *self.workers, *self.dispatchers]

    def shard_of(self, device: str) -> int:
        """The shard that a device falls into."""
        return int(Partitions(PARTITIONS).of(device))

    async def unrecorded(self) -> frozenset[str]:
        """The keys that came to the sink of late, and of which Redis does not say that they have ended."""
        late_s = asyncio.get_running_loop().time() - _LATE_S
        keys = sorted({arrival.key for arrival in self.sink.got if arrival.at_s > late_s and arrival.status < 300})
        client = RedisClient(self.redis.url)
        try:
            found = await RedisDeliveries(client, "nearcast", 1).read(keys)
        finally:
            await client.close()
        ended = {kept.delivery.key for kept in found if kept and kept.delivery.state is not DeliveryState.PENDING}
        return frozenset(keys) - ended

    # -- processes -------------------------------------------------------------------------------------------------

    def make(self, role: str) -> Role:
        """One more process of a role, not yet started."""
        self._made += 1
        name, port = f"{role}-{self._made}", free_port()
        made = Role(self.site, f"http://127.0.0.1:{port}", None, 0, role, name, words_of(role, name, port))
        made.http = self.http
        getattr(self, f"{role}s").append(made)
        return made

    async def ready(self, *roles: Role) -> None:
        """Wait until these say that they are ready."""
        for role in roles:
            await until(lambda role=role: self._is_ready(role), f"{role.name} is ready", 150, 0.1)

    async def _is_ready(self, role: Role) -> bool:
        if not role.alive:
            raise AssertionError(f"{role.name} ended: {role.log_file.read_text()[-3000:]}")
        try:
            return await role.is_ready()
        except (aiohttp.ClientError, ConnectionError):
            return False

    async def start(self, *roles: Role) -> None:
        """Start these beside each other, and wait until they are ready."""
        for role in roles:
            role.launch()
        await self.ready(*roles)

    # -- asking ----------------------------------------------------------------------------------------------------

    async def tell_users(self, users: Sequence[str]) -> None:
        """Tell what is known of these users, and wait until it is known of all."""
        now_ms = self.gateways[0].now_ms()
        for start in range(0, len(users), _TOLD_AT_ONCE):
            events = [
                {"id": "known", "user": user, "type": "user.updated", "time": now_ms, "data": KNOWN}
                for user in users[start : start + _TOLD_AT_ONCE]
            ]
            async with self.http.post(self.url + "/v1/events", json=events) as answer:
                told = await answer.json()
                assert (answer.status, told["accepted"]) == (202, len(events)), told
        for user in users:
            await until(lambda user=user: self._is_known(user), f"{user} is known", 60)

    async def _is_known(self, user: str) -> bool:
        async with self.http.get(f"{self.url}/v1/users/{user}") as answer:
            if answer.status != 200:
                return False
            told = await answer.json()
        return bool(told["consent"]) and bool(told["attributes"])

    async def records(self, topic: str) -> AsyncIterator[Any]:
        """All records of a topic, from its beginning to its present end."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka.brokers, enable_auto_commit=False)
        await consumer.start()
        try:
            parts = [TopicPartition(topic, n) for n in range(1 if topic.endswith(".dead") else PARTITIONS)]
            consumer.assign(parts)
            await consumer.seek_to_beginning(*parts)
            ends = await consumer.end_offsets(parts)
            while any([await consumer.position(part) < ends[part] for part in parts]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        yield record
        finally:
            await consumer.stop()

    async def pings_kept(self) -> set[tuple[str, int]]:
        """(device, time) of every ping in Kafka."""
        found: set[tuple[str, int]] = set()
        async for record in self.records(Names("nearcast").pings):
            for item in decode_frame(record.value).inputs:
                if isinstance(item, Located):
                    devices = [item.strings[n] for n in item.column("device")]
                    found.update(zip(devices, item.column("time").tolist(), strict=True))
        return found

    async def decided(self) -> tuple[dict[str, dict[str, Any]], set[str]]:
        """Every decision in Kafka by its key, and the keys decided in more than one way: there the one that sends."""
        found: dict[str, dict[str, Any]] = {}
        otherwise = set()
        async for record in self.records(Names("nearcast").decisions):
            decided = decode_decided(record.value)
            line = json.loads(decided.line)
            first = found.setdefault(decided.key, line)
            if first["outcome"] != line["outcome"]:
                otherwise.add(decided.key)
                found[decided.key] = first if first["outcome"] == "send" else line
        return found, otherwise


def words_of(role: str, name: str, port: int) -> tuple[str, ...]:
    """What a process of a role is called with."""
    words: tuple[str, ...] = ("--listen", f"127.0.0.1:{port}")
    return words if role == "gateway" else (*words, "--instance", name)


@asynccontextmanager
async def lab_of(
    folder: Path, world: World, *, gateways: int = 1, workers: int = 2, dispatchers: int = 1, rules: str | None = None,
    sync: str = "always",
) -> AsyncIterator[Lab]:  # fmt: skip
    """A cluster of so many processes, ready; all of it is killed at the end, whatever happened."""
    need_servers()
    kafka, redis = Kafka(folder / "kafka"), Redis(folder / "redis")
    redis.sync = sync
    # a rewrite of the file would change its length otherwise than by what is appended
    redis.options = ("--auto-aof-rewrite-percentage", "0", "--enable-debug-command", "local")
    try:
        await asyncio.gather(asyncio.to_thread(kafka.start), asyncio.to_thread(redis.start))
        async with sink_of() as sink, aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            settings = (
                f'cluster: {{brokers: ["{kafka.brokers}"], redis: "{redis.url}", partitions: {PARTITIONS},'
                f" replicas: 1, session: {SESSION_S}s}}\n"
            )
            more = {} if rules is None else {"rules": rules}
            site = write_lab_site(folder / "site", world, sink=sink.url, settings=settings, **more)
            lab = Lab(folder, site, kafka, redis, sink)
            lab.http = http
            made = await command("worker", site, "--create-topics")
            assert made.returncode == 0, made.stderr
            counts = {"gateway": gateways, "worker": workers, "dispatcher": dispatchers}
            try:
                await lab.start(*[lab.make(role) for role, count in counts.items() for _ in range(count)])
                yield lab
            finally:
                for role in lab.roles:
                    if role.alive:
                        role.tell(signal.SIGCONT)
                        await role.kill()
    finally:
        kafka.kill()
        redis.kill()


def rng_of(seed: int) -> random.Random:
    """The dice of a test; a failure prints the seed in its name."""
    return random.Random(seed)
