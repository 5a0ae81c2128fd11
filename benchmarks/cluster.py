"""One worker, and the way of a ping to its message: `python -m benchmarks.cluster --brokers H:P --redis URL`.

Two figures of the scaled-out form, on servers that are there already. **fold**: frames of 50 pings of a steady crowd
are written as fast as the broker takes them; how many pings a second of wall time and of its own processor time one
worker folds, devices and offset stored. **way**: pings are posted to a gateway at a steady rate; the time from a ping
received to its webhook request written, by the dispatcher's own histogram. Everything else on the machine counts too:
compare processor time, and quote wall time from a quiet machine only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import aiohttp
import numpy as np
import orjson
from aiohttp import web
from aiokafka import AIOKafkaProducer
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.city import city
from benchmarks.gateway import post
from benchmarks.live import quantile
from benchmarks.server import cpu_s_of
from benchmarks.site import EACH_TIME
from connectors.kafka_partition import Partitions
from engine.rows import Rows, columns
from engine.wire import encode_frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.city import City

NEARCAST = str(Path(sys.executable).with_name("nearcast"))
SHARDS = 4
FRAME = 50
POST = 10
CONNECTIONS = 16
"""So many that no post waits for those before it."""
DEVICES = 10_000
WARM_S = 30.0
"""So long the load is on before it is measured: the broker compiles itself meanwhile, and takes half as much after."""
_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


def main() -> None:
    """Measure both, and print them."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.cluster")
    options.add_argument("--brokers", default="127.0.0.1:9092")
    options.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    options.add_argument("--frames", type=int, default=20_000)
    options.add_argument("--rate", type=int, default=2_000)
    options.add_argument("--seconds", type=float, default=15.0)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(asyncio.run(_fold(Path(folder) / "fold", given)))
        print(asyncio.run(_way(Path(folder) / "way", given)))


async def _fold(folder: Path, given: argparse.Namespace) -> str:
    world = city(2_000)
    name = _site(folder, world, given, "http://127.0.0.1:9/")
    lat, lng = world.points(DEVICES)
    shard_of = Partitions(SHARDS).of
    shards: list[list[int]] = [[] for _ in range(SHARDS)]
    for n in range(DEVICES):
        shards[shard_of(f"d{n}")].append(n)
    producer = AIOKafkaProducer(bootstrap_servers=given.brokers, acks="all", max_batch_size=1 << 20, linger_ms=5)
    with ExitStack() as stack:
        worker, url = stack.enter_context(_process("worker", folder))
        await producer.start()
        at_ms = int(time.time() * 1000) - 3_600_000
        spent: list[tuple[float, float]] = []
        for round_ in range(3):  # the first one brings the crowd
            before = _value(url, "nearcast_frames_total", result="folded")
            began_s, cpu_s, sent = time.perf_counter(), cpu_s_of(worker.pid), 0
            frames = given.frames if round_ else sum(-(-len(mine) // FRAME) for mine in shards)
            writing = []
            while sent < frames:
                shard = sent % SHARDS
                mine = shards[shard]
                start = (sent // SHARDS * FRAME) % len(mine)
                at_ms += 1
                rows = _rows([mine[(start + k) % len(mine)] for k in range(FRAME)], lat, lng, at_ms)
                writing.append(
                    await producer.send(f"{name}.pings", encode_frame(at_ms, [columns([rows])]), partition=shard)
                )
                sent += 1
            await asyncio.gather(*writing)
            while _value(url, "nearcast_frames_total", result="folded") - before < frames:
                await asyncio.sleep(0.2)
            spent.append((time.perf_counter() - began_s, cpu_s_of(worker.pid) - cpu_s))
        await producer.stop()
    pings = given.frames * FRAME
    wall_s, cpu_s = min(spent[1:])
    return (
        f"one worker, frames of {FRAME}, {DEVICES:,} devices | {pings / wall_s:,.0f} pings/s of wall time, "
        f"{pings / cpu_s:,.0f} a second of its processor | writer and broker beside it"
    )


async def _way(folder: Path, given: argparse.Namespace) -> str:
    world = city(2_000)
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append((await request.json())["data"]["device"])
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/push", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _site(folder, world, given, f"http://127.0.0.1:{runner.addresses[0][1]}/push")
    with ExitStack() as stack:
        _, gateway = stack.enter_context(_process("gateway", folder))
        _, worker = stack.enter_context(_process("worker", folder))
        _, dispatcher = stack.enter_context(_process("dispatcher", folder))
        last = _one_a_shard()
        async with aiohttp.ClientSession() as http:
            users = [{"id": f"c-{device}", "user": device, "type": "user.updated", "time": int(time.time() * 1000),
                      "data": {"consent": {"marketing": True}}}
                     for device in (*last, *(f"d{n}" for n in range(DEVICES)))]  # fmt: skip
            for start in range(0, len(users), 500):
                async with http.post(gateway + "/v1/events", json=users[start : start + 500]) as answer:
                    assert answer.status == 202, await answer.text()
            load = _Load(http, gateway, world, given.rate)
            early = 0
            for seconds in (WARM_S, given.seconds):  # a crowd that has been there, roles that have worked
                early, before = len(got), _handoffs(dispatcher)
                await load.run(seconds)
                # shards fold in order: when the last ping of each has its message, all are decided
                await load.end(last)
                while not (set(last) <= set(got[early:]) and len(got) == await asyncio.to_thread(_sends, worker)):
                    await asyncio.sleep(0.05)
        after = _handoffs(dispatcher)
        buckets = [(high_s, count - before[high_s]) for high_s, count in sorted(after.items())]
    await runner.cleanup()
    return (
        f"a ping received to its webhook request written, {load.sent / given.seconds:,.0f} pings/s, "
        f"{len(got) - early} messages | p50 {quantile(buckets, 0.5) * 1000:.0f} ms, "
        f"p99 {quantile(buckets, 0.99) * 1000:.0f} ms | gateway, broker, worker, Redis, dispatcher, load, endpoint"
    )


class _Load:
    """Pings at an even rate; one in fifty is in a watched fence, the others are in none."""

    def __init__(self, http: aiohttp.ClientSession, gateway: str, world: City, rate: int) -> None:
        self._http, self._gateway, self._rate = http, gateway, rate
        watched = world.polygons[::100]
        self._inside = [polygon.representative_point() for polygon in watched]
        self._deep = max(watched, key=lambda polygon: polygon.area).representative_point()
        self._rng = np.random.default_rng(1)
        self._next = 0
        self.sent = 0
        """In the newest run."""

    async def run(self, seconds: float) -> None:
        """Post for so long, ten pings a post."""
        self.sent, many = 0, int(self._rate * seconds / POST)
        port, bodies = urlsplit(self._gateway).port or 0, (self._body() for _ in range(many))
        await post(port, "/v1/pings", bodies, connections=CONNECTIONS, every_s=POST / self._rate)

    async def end(self, last: list[str]) -> None:
        """A ping of each of these, who leave and come, so that each gets a message."""
        for lat, lng in ((35.4, 139.4), (35.4, 139.4), (self._deep.y, self._deep.x)):
            now_ms = int(time.time() * 1000)
            await self._post([{"device": d, "time": now_ms, "lat": lat, "lng": lng, "accuracy": 1.0} for d in last])
            await asyncio.sleep(0.002)  # no two pings of theirs at the same time

    def _body(self) -> bytes:
        return orjson.dumps([self._ping() for _ in range(POST)])

    def _ping(self) -> dict[str, Any]:
        point = self._inside[int(self._rng.integers(len(self._inside)))] if self._rng.random() < 0.02 else None
        device = f"d{self._next % DEVICES}"
        self._next, self.sent = self._next + 1, self.sent + 1
        return {"device": device, "time": int(time.time() * 1000), "accuracy": 5.0,
                "lat": point.y if point else 35.4, "lng": point.x if point else 139.4}  # fmt: skip

    async def _post(self, pings: list[dict[str, Any]]) -> None:
        async with self._http.post(self._gateway + "/v1/pings", json=pings) as answer:
            assert answer.status == 202, await answer.text()


def _one_a_shard() -> list[str]:
    """For each shard the name of a device that falls into it."""
    found: dict[int, str] = {}
    for n in range(1_000 * SHARDS):
        found.setdefault(Partitions(SHARDS).of(f"last-{n}"), f"last-{n}")
    return list(found.values())


def _sends(worker: str) -> int:
    """How many messages a worker decided to send."""
    return int(_value(worker, "nearcast_decisions_total", outcome="send"))


def _site(folder: Path, world: Any, given: argparse.Namespace, push: str) -> str:
    """Write the site and make its topics; returns the cluster's name."""
    name = f"bench-{secrets.token_hex(4)}"
    for part in ("fences", "rules"):
        (folder / part).mkdir(parents=True)
    (folder / "fences/all.geojson").write_bytes(world.geojson())
    (folder / "rules/all.yaml").write_text(EACH_TIME)
    (folder / "nearcast.yaml").write_text(
        f'channels: {{push: {{kind: webhook, url: "{push}", secret: "{_SECRET}"}}}}\n'
        f'cluster: {{name: {name}, brokers: ["{given.brokers}"], redis: "{given.redis}", partitions: {SHARDS},'
        " replicas: 1}\n"
    )
    subprocess.run([NEARCAST, "worker", str(folder), "--create-topics"], check=True, capture_output=True)
    return name


@contextmanager
def _process(role: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A role, ready; its process and where it listens."""
    log = folder.with_name(f"{folder.name}.{role}.log")
    with log.open("wb") as out:
        child = subprocess.Popen([NEARCAST, role, str(folder), "--listen", "127.0.0.1:0"], stdout=out, stderr=out)
    try:
        url = ""
        while not (url and _is_ready(url)):
            assert child.poll() is None, log.read_text()
            lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
            url = next((line["listen"] for line in lines if line["event"] == "ready"), "")
            time.sleep(0.1)
        yield child, url
    finally:
        child.terminate()
        child.wait(20)


def _is_ready(url: str) -> bool:
    try:
        with urlopen(url + "/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _samples(url: str) -> list[Any]:
    with urlopen(url + "/metrics", timeout=10) as answer:
        return [s for family in text_string_to_metric_families(answer.read().decode()) for s in family.samples]


def _value(url: str, name: str, **labels: str) -> float:
    return sum(s.value for s in _samples(url) if s.name == name and labels.items() <= s.labels.items())


def _handoffs(dispatcher: str) -> dict[float, float]:
    """How many messages were handed over within so many seconds of their ping."""
    found = (s for s in _samples(dispatcher) if s.name == "nearcast_ping_to_handoff_seconds_bucket")
    return {float(s.labels["le"]): s.value for s in found}


def _rows(numbers: list[int], lat: Any, lng: Any, time_ms: int) -> Rows:
    none: list[Any] = [None] * len(numbers)
    return Rows(
        [f"d{n}" for n in numbers], [time_ms] * len(numbers), [float(lat[n]) for n in numbers],
        [float(lng[n]) for n in numbers], none, none, [8.0] * len(numbers), none, none, none, none,
    )  # fmt: skip


if __name__ == "__main__":
    main()
