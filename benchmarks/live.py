"""`nearcast run`, durable, under a steady load: from ping received to webhook request written, and processor a ping.

The load comes from this process over plain sockets (the server has the other core): `connections` phones' gateways,
each posting `batch` pings at a time; the webhook's endpoint is here too. Everybody is seen once before anything is
timed: a crowd that has been there, not one that arrives at once. A rule stands on one fence in `share`. Beside it
bare commits (append and fdatasync) are timed, since no answer can be faster than the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
from prometheus_client.parser import text_string_to_metric_families
from shapely.geometry import mapping

from benchmarks.city import city
from benchmarks.server import cpu_s_of
from benchmarks.site import EACH_TIME

DEVICES = 10_000
CONNECTIONS = 50
_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"


@dataclass(slots=True)
class Reached:
    """What a run came to. Times in milliseconds."""

    pings_s: float
    messages: int
    ack_p50_ms: float
    ack_p99_ms: float
    handoff_p50_ms: float
    handoff_p99_ms: float
    cpu_us: float
    bare_p99_ms: float


def run(rate: int, seconds: float, batch: int, fences: int, share: int = 100) -> Reached:
    """Post `rate` pings a second for so long."""
    return asyncio.run(_run(rate, seconds, batch, fences, share))


async def _run(rate: int, seconds: float, batch: int, fences: int, share: int) -> Reached:
    endpoint = _Endpoint()
    server = await asyncio.get_running_loop().create_server(lambda: _Sink(endpoint), "127.0.0.1", 0)
    port, hook = _free_port(), server.sockets[0].getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        _write_site(site, port, hook, fences, share)
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("nearcast")), "run", str(site)], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await _ready(port)
            load = _Load(port, fences)
            await load.consent()
            await load.post(DEVICES, 1.0, 100)
            await _at_rest(port)
            load.sent, load.acks_ms = 0, []
            before, before_s, early = _handoffs(port), cpu_s_of(process.pid), endpoint.count
            began = time.perf_counter()
            await load.post(rate, seconds, batch)
            spent, cpu_s = time.perf_counter() - began, cpu_s_of(process.pid) - before_s
            bare_p99 = _bare_commits_p99_ms(Path(folder) / "bare")
            await _at_rest(port)
            p50, p99 = _quantiles_ms(before, _handoffs(port))
        finally:
            process.terminate()
            process.wait(30)
            server.close()
    ack_p50, ack_p99 = (float(np.percentile(load.acks_ms, q)) for q in (50, 99))
    messages, cpu_us = endpoint.count - early, cpu_s / load.sent * 1e6
    return Reached(load.sent / spent, messages, ack_p50, ack_p99, p50, p99, cpu_us, bare_p99)


def _write_site(site: Path, port: int, hook: int, fences: int, share: int) -> None:
    (site / "fences").mkdir(parents=True)
    (site / "rules").mkdir()
    features = [
        {"type": "Feature", "id": f"f{n}", "geometry": mapping(p),
         "properties": {"timezone": "Asia/Tokyo", "tags": ["watched"] if n % share == 0 else []}}
        for n, p in enumerate(city(fences).polygons)
    ]  # fmt: skip
    (site / "fences/city.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    (site / "rules/bench.yaml").write_text(EACH_TIME)
    (site / "nearcast.yaml").write_text(
        f"listen: 127.0.0.1:{port}\nchannels:\n"
        f'  push: {{kind: webhook, url: "http://127.0.0.1:{hook}/push", secret: "{_SECRET}"}}\n'
    )


@dataclass(slots=True)
class _Endpoint:
    count: int = 0


class _Sink(asyncio.Protocol):
    """A webhook's endpoint that answers 204 and counts."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint, self._data = endpoint, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = int(self._data[:end].rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._endpoint.count += 1
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


@dataclass(slots=True)
class _Load:
    """Walking devices, and the connections that post their pings."""

    port: int
    fences: int
    sent: int = 0
    acks_ms: list[float] = field(default_factory=list)

    async def consent(self) -> None:
        """Everybody agrees: as events of an app, a thousand at a time."""
        connection = await asyncio.open_connection("127.0.0.1", self.port)
        now = int(time.time() * 1000)
        for start in range(0, DEVICES, 1000):
            events = [
                {
                    "id": "c",
                    "user": f"d{n}",
                    "type": "user.updated",
                    "time": now,
                    "data": {"consent": {"marketing": True}},
                }
                for n in range(start, start + 1000)
            ]
            await _exchange(connection, "/v1/events", json.dumps(events).encode())
        connection[1].close()

    async def post(self, rate: int, seconds: float, batch: int) -> None:
        """Post at an even rate over all connections."""
        world = city(self.fences)
        lat, lng = world.points(DEVICES)
        rng = random.Random(1)
        connections = [await asyncio.open_connection("127.0.0.1", self.port) for _ in range(CONNECTIONS)]
        free: asyncio.Queue[Any] = asyncio.Queue()
        for connection in connections:
            free.put_nowait(connection)
        began, at, tasks = time.perf_counter(), 0, set()
        for n in range(int(rate * seconds / batch)):
            due = began + n * batch / rate
            while (left := due - time.perf_counter()) > 0:
                await asyncio.sleep(left)
            now, pings = int(time.time() * 1000), []
            for _ in range(batch):
                at = (at + 1) % DEVICES
                lat[at] += rng.uniform(-6e-5, 6e-5)
                lng[at] += rng.uniform(-6e-5, 6e-5)
                pings.append(
                    {"device": f"d{at}", "time": now, "lat": float(lat[at]), "lng": float(lng[at]), "accuracy": 8}
                )
            connection = await free.get()
            task = asyncio.create_task(self._one(connection, free, json.dumps(pings).encode()))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.sent += batch
        await asyncio.gather(*tasks)
        for _, writer in connections:
            writer.close()

    async def _one(self, connection: Any, free: Any, body: bytes) -> None:
        began = time.perf_counter()
        status = await _exchange(connection, "/v1/pings", body)
        self.acks_ms.append((time.perf_counter() - began) * 1000)
        if status != 202:
            raise SystemExit(f"a request was answered {status}")
        free.put_nowait(connection)


async def _exchange(connection: Any, path: str, body: bytes) -> int:
    reader, writer = connection
    writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


def _families(port: int) -> dict[str, list[Any]]:
    text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


async def _at_rest(port: int) -> None:
    """Until every message has left."""
    while sum(s.value for s in _families(port)["nearcast_deliveries_pending"]) > 0:
        await asyncio.sleep(0.1)


def _handoffs(port: int) -> dict[float, float]:
    """How many messages were handed over within so many seconds of their ping."""
    samples = _families(port)["nearcast_ping_to_handoff_seconds"]
    return {float(s.labels["le"]): s.value for s in samples if s.name.endswith("_bucket")}


def _quantiles_ms(before: dict[float, float], after: dict[float, float]) -> tuple[float, float]:
    """The median and the 99th percentile of what came between two readings."""
    buckets = [(high_s, count - before[high_s]) for high_s, count in sorted(after.items())]
    return _quantile(buckets, 0.5) * 1000, _quantile(buckets, 0.99) * 1000


def _quantile(buckets: list[tuple[float, float]], q: float) -> float:
    wanted, low_s, low = q * buckets[-1][1], 0.0, 0.0
    for high_s, high in buckets:
        if high >= wanted > low:
            return low_s + (high_s - low_s) * (wanted - low) / (high - low)
        low_s, low = high_s, high
    return float("nan")


def _bare_commits_p99_ms(path: Path) -> float:
    file, times = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), []
    for _ in range(500):
        began = time.perf_counter()
        os.write(file, b"x" * 2000)
        os.fdatasync(file)
        times.append((time.perf_counter() - began) * 1000)
    os.close(file)
    return float(np.percentile(times, 99))


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


async def _ready(port: int) -> None:
    for _ in range(600):
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return
        except OSError:
            await asyncio.sleep(0.1)
    raise SystemExit("nearcast run never became ready")


def main() -> None:
    """`python -m benchmarks.live [RATE SECONDS BATCH FENCES SHARE]`"""
    given, usual = sys.argv[1:], ["5000", "20", "10", "10000", "10"]
    rate, seconds, batch, fences, share = (int(a) for a in given + usual[len(given) :])
    got = run(rate, seconds, batch, fences, share)
    print(
        f"{got.pings_s:,.0f} pings/s in posts of {batch}, {fences:,} fences, {got.messages:,} messages; "
        f"answer p50 {got.ack_p50_ms:.1f} p99 {got.ack_p99_ms:.1f} ms; ping to hand-off p50 {got.handoff_p50_ms:.1f} "
        f"p99 {got.handoff_p99_ms:.1f} ms; {got.cpu_us:.0f} us of processor a ping; "
        f"a bare commit's p99 {got.bare_p99_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
