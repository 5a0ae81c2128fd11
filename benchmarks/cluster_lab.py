"""What `benchmarks.cluster_beside` runs on: one broker, one Redis, roles as processes, frames of a steady crowd.

Owns starting and ending, the frames, and reading a role's metrics. Must not know what is measured.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.city import city
from benchmarks.server import write_site
from benchmarks.site import EACH_TIME
from connectors.kafka_partition import Partitions
from connectors.kafka_topics import Names
from engine.ping_reader import PingReader
from engine.pings import located, with_own_names
from engine.settings import PingLimits
from engine.wire import encode_frame
from tests.cluster.servers import Kafka, Redis, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NEARCAST = [sys.executable, "-c", "from nearcast.cli import main; main()"]
START_S = 120.0


@dataclass
class Role:
    """One process, and where it tells of itself."""

    process: subprocess.Popen[bytes]
    port: int
    words: list[str]

    def metrics(self) -> dict[str, list[Any]]:
        with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
            return {family.name: family.samples for family in families}

    def folded(self) -> int:
        """How many records it folded."""
        samples = self.metrics()["nearcast_frames"]
        return int(sum(s.value for s in samples if s.labels.get("result") == "folded" and s.name.endswith("_total")))


@dataclass
class Bench:
    """Servers and roles, all of which end with the benchmark."""

    folder: Path
    kafka: Kafka = field(init=False)
    redis: Redis = field(init=False)
    roles: list[Role] = field(default_factory=list)
    _sites: int = 0

    def site(self, partitions: int, fences: int, more: str = "") -> tuple[Path, str]:
        """A new site with topics of its own; its folder and its cluster's name. A rule stands on one fence in 100.

        `more` are further settings.
        """
        self._sites += 1
        name, folder = f"bench{self._sites}", self.folder / f"site{self._sites}"
        settings = (
            f'cluster: {{name: {name}, brokers: ["{self.kafka.brokers}"], redis: "{self.redis.url}",'
            f" partitions: {partitions}, replicas: 1}}\n{more}"
        )
        write_site(folder, city(fences).geojson(), settings, EACH_TIME)
        subprocess.run([*NEARCAST, "worker", str(folder), "--create-topics"], check=True, capture_output=True)
        return folder, name

    def start(self, role: str, site: Path, *words: str) -> Role:
        """Start a role and return at once."""
        port = free_port()
        command = [*NEARCAST, role, str(site), "--listen", f"127.0.0.1:{port}", *words]
        with (self.folder / f"{role}.log").open("ab") as log:
            made = Role(subprocess.Popen(command, stdout=log, stderr=log), port, command)
        self.roles.append(made)
        return made

    def again(self, role: Role) -> None:
        """Start a role that was killed, as it was."""
        with (self.folder / "again.log").open("ab") as log:
            role.process = subprocess.Popen(role.words, stdout=log, stderr=log)

    def ready(self, *roles: Role) -> None:
        """Wait until these are ready."""
        for role in roles:
            waited(lambda role=role: is_ready(role), f"{role.words[3]} is ready")

    def ready_to_tell(self, *roles: Role) -> None:
        """Wait until the metrics of these can be read, which is before they are ready."""
        for role in roles:
            waited(lambda role=role: tells(role), f"{role.words[3]} tells of itself", 0.01)

    def end(self, *roles: Role) -> None:
        """End roles in good order, or all."""
        for role in roles or tuple(self.roles):
            if role.process.poll() is None:
                role.process.terminate()
        for role in roles or tuple(self.roles):
            try:
                role.process.wait(20)
            except subprocess.TimeoutExpired:
                role.process.kill()
                role.process.wait()
            self.roles.remove(role)


@contextmanager
def bench(folder: Path) -> Iterator[Bench]:
    """Servers, started; everything ends after."""
    made = Bench(folder)
    made.kafka, made.redis = Kafka(folder / "kafka"), Redis(folder / "redis")
    try:
        made.kafka.start()
        made.redis.start()
        yield made
    finally:
        made.end()
        made.redis.stop()
        made.kafka.stop()


def is_ready(role: Role) -> bool:
    """What `/readyz` says."""
    if role.process.poll() is not None:
        raise SystemExit(f"`{' '.join(role.words[3:])}` ended with {role.process.returncode}")
    try:
        with urlopen(f"http://127.0.0.1:{role.port}/readyz", timeout=5):
            return True
    except (URLError, ConnectionError):
        return False


def tells(role: Role) -> bool:
    """Whether its metrics can be read."""
    try:
        return bool(role.metrics())
    except (URLError, ConnectionError):
        return False


def waited(check: Any, what: str, pause_s: float = 0.05) -> Any:
    """Ask again and again until the answer is true."""
    deadline = time.monotonic() + START_S
    while not (found := check()):
        if time.monotonic() > deadline:
            raise SystemExit(f"not within {START_S:g} s: {what}")
        time.sleep(pause_s)
    return found


class Steady:
    """A crowd of `devices` that moves a little at each step: hardly anybody enters or leaves anything."""

    def __init__(self, devices: int, partitions: int, fences: int) -> None:
        self._lat, self._lng = city(fences).points(devices)
        self._rng = np.random.default_rng(1)
        self._time_ms = int(time.time() * 1000) - 3_600_000
        of = Partitions(partitions).of
        self._of: list[list[int]] = [[] for _ in range(partitions)]
        for n in range(devices):
            self._of[of(f"d{n}")].append(n)

    def bodies(self, size: int) -> list[tuple[int, bytes]]:
        """One step of everybody: (partition, JSON of `size` pings) each."""
        self._time_ms += 5_000
        moved = self._rng.uniform(-6e-5, 6e-5, (2, len(self._lat)))
        self._lat, self._lng = self._lat + moved[0], self._lng + moved[1]
        lat, lng = self._lat.tolist(), self._lng.tolist()
        made = []
        for partition, devices in enumerate(self._of):
            for start in range(0, len(devices), size):
                pings = [
                    {"device": f"d{n}", "time": self._time_ms, "lat": lat[n], "lng": lng[n], "accuracy": 8}
                    for n in devices[start : start + size]
                ]
                made.append((partition, orjson.dumps(pings)))
        return made


def frame_of(body: bytes) -> bytes:
    """The frame that a gateway makes of a body."""
    now_ms = int(time.time() * 1000)
    read = PingReader().read(body, ndjson=False, now_ms=now_ms, limits=PingLimits())
    assert not read.rejected
    return encode_frame(now_ms, [with_own_names(located([read.pings]))])


def write_records(brokers: str, topic: str, records: Sequence[tuple[int, bytes]]) -> None:
    """Write records into a topic that is there."""
    asyncio.run(_write(brokers, topic, records))


async def _write(brokers: str, topic: str, records: Sequence[tuple[int, bytes]]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=brokers, acks="all", linger_ms=5, max_batch_size=1 << 20)
    await producer.start()
    try:
        sent = [await producer.send(topic, value, partition=partition) for partition, value in records]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


def make_topic(brokers: str, topic: str, partitions: int) -> None:
    """A plain topic."""

    async def make() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=brokers)
        await admin.start()
        await admin.create_topics([NewTopic(topic, partitions, 1)])
        await admin.close()

    asyncio.run(make())


def pings_of(name: str) -> str:
    """The topic of a cluster's pings."""
    return Names(name).pings
