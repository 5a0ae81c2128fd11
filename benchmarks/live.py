"""`nearcast run`, durable, under a steady load: from ping received to webhook request written, and processor a ping.

The load comes from this process (`gateway`, over 50 connections), and the webhook's endpoint is here too. Everybody is
seen once before anything is timed: a crowd that has been there, not one that arrives at once. A rule stands on one
fence in `share`. Beside it bare commits (append and fdatasync) are timed, since no answer can be faster than the disk.
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from benchmarks.city import city
from benchmarks.gateway import on_cores, post
from benchmarks.server import Server, cpu_s_of, write_site
from benchmarks.site import EACH_TIME

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 50
_SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY"
_SETTINGS = 'channels:\n  push: {{kind: webhook, url: "http://127.0.0.1:{hook}/push", secret: "{secret}"}}\n'


@dataclass(frozen=True, slots=True)
class Load:
    """`rate` pings a second in posts of `batch`, for so long; a rule on one fence in `share`."""

    rate: int = 5_000
    seconds: int = 15
    batch: int = 10
    fences: int = 10_000
    share: int = 10
    devices: int = 10_000


LOADS = {"live-10": Load(), "live-1": Load(batch=1), "live-1000": Load(50_000, 6, 1_000, share=100)}
"""What is recorded, by the name that `python -m benchmarks` has for it."""


@dataclass(frozen=True, slots=True)
class Reached:
    """What a run came to. Times in milliseconds."""

    pings_s: float
    messages: int
    ack_p50_ms: float
    ack_p99_ms: float
    handoff_p50_ms: float
    handoff_p99_ms: float
    cpu_us: float
    """Of the server, a ping."""
    bare_p99_ms: float


def run(load: Load) -> Reached:
    """Put the load on a server of its own, on all cores."""
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as hook,
        on_cores(set(range(os.cpu_count() or 1))),
    ):
        settings = _SETTINGS.format(hook=hook.getsockname()[1], secret=_SECRET)
        world = city(load.fences)
        server = Server(write_site(Path(folder) / "site", world.geojson(load.share), settings, EACH_TIME))
        try:
            server.agree([f"d{n}" for n in range(load.devices)], int(time.time() * 1000))
            return asyncio.run(_loaded(server, hook, load, _Crowd(*world.points(load.devices))))
        finally:
            server.close()


async def _loaded(server: Server, hook: socket.socket, load: Load, crowd: _Crowd) -> Reached:
    endpoint = _Endpoint()
    listening = await asyncio.get_running_loop().create_server(lambda: _Sink(endpoint), sock=hook)
    await post(server.port, "/v1/pings", crowd.bodies(100, load.devices // 100))
    await asyncio.to_thread(server.rest)
    before, before_s, early = _handoffs(server), cpu_s_of(server.pid), endpoint.count
    began, posts = time.perf_counter(), load.rate * load.seconds // load.batch
    acks_ms = await post(
        server.port, "/v1/pings", crowd.bodies(load.batch, posts), connections=CONNECTIONS,
        every_s=load.batch / load.rate,
    )  # fmt: skip
    spent_s, cpu_s = time.perf_counter() - began, cpu_s_of(server.pid) - before_s
    await asyncio.to_thread(server.rest)
    after = _handoffs(server)
    listening.close()
    for transport in endpoint.open:
        transport.abort()
    buckets = [(high_s, count - before[high_s]) for high_s, count in sorted(after.items())]
    sent = posts * load.batch
    return Reached(
        sent / spent_s, endpoint.count - early, float(np.percentile(acks_ms, 50)), float(np.percentile(acks_ms, 99)),
        quantile(buckets, 0.5) * 1000, quantile(buckets, 0.99) * 1000, cpu_s / sent * 1e6, _bare_commits_p99_ms(),
    )  # fmt: skip


class _Crowd:
    """Devices that move a few metres between two pings of theirs, in turn."""

    def __init__(self, lat: Any, lng: Any) -> None:
        self._lat, self._lng, self._next, self._rng = lat, lng, 0, random.Random(1)

    def bodies(self, batch: int, count: int) -> Iterator[bytes]:
        """Bodies of so many pings, each of now."""
        for _ in range(count):
            now_ms = int(time.time() * 1000)
            yield orjson.dumps([self._ping(now_ms) for _ in range(batch)])

    def _ping(self, now_ms: int) -> dict[str, Any]:
        n = self._next
        self._next = (n + 1) % len(self._lat)
        self._lat[n] += self._rng.uniform(-6e-5, 6e-5)
        self._lng[n] += self._rng.uniform(-6e-5, 6e-5)
        return {
            "device": f"d{n}", "time": now_ms, "lat": float(self._lat[n]), "lng": float(self._lng[n]), "accuracy": 8,
        }  # fmt: skip


@dataclass(slots=True)
class _Endpoint:
    count: int = 0
    open: list[Any] = field(default_factory=list)


class _Sink(asyncio.Protocol):
    """A webhook's endpoint that answers 204 and counts."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint, self._data = endpoint, b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._endpoint.open.append(transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            length = int(self._data[:end].rpartition(b"content-length: ")[2].partition(b"\r\n")[0])
            if len(self._data) < end + 4 + length:
                return
            self._data = self._data[end + 4 + length :]
            self._endpoint.count += 1
            self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


def _handoffs(server: Server) -> dict[float, float]:
    """How many messages were handed over within so many seconds of their ping."""
    return {float(s.labels["le"]): s.value for s in server.samples("nearcast_ping_to_handoff_seconds_bucket")}


def quantile(buckets: list[tuple[float, float]], q: float) -> float:
    """Of (upper bound, how many up to it), ascending, the value below which the share `q` lies; NaN of none.

    >>> quantile([(1.0, 10.0), (2.0, 20.0), (float("inf"), 20.0)], 0.75)
    1.5
    """
    wanted, low_s, low = q * buckets[-1][1], 0.0, 0.0
    for high_s, high in buckets:
        if high >= wanted > low:
            return low_s + (high_s - low_s) * (wanted - low) / (high - low)
        low_s, low = high_s, high
    return float("nan")


def _bare_commits_p99_ms() -> float:
    times = []
    with tempfile.TemporaryFile() as file:
        for _ in range(500):
            began = time.perf_counter()
            os.write(file.fileno(), b"x" * 2000)
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return float(np.percentile(times, 99))


def figures(load: Load) -> dict[str, Any]:
    """One run as it is kept in the record."""
    return asdict(load) | {name: float(f"{value:.4g}") for name, value in asdict(run(load)).items()}


def main() -> None:
    """`python -m benchmarks.live [RATE SECONDS BATCH FENCES SHARE DEVICES]`"""
    load = Load(*map(int, sys.argv[1:]))
    got = run(load)
    print(
        f"{got.pings_s:,.0f} pings/s in posts of {load.batch}, {load.fences:,} fences, {got.messages:,} messages; "
        f"answer p50 {got.ack_p50_ms:.1f} p99 {got.ack_p99_ms:.1f} ms; ping to hand-off p50 {got.handoff_p50_ms:.1f} "
        f"p99 {got.handoff_p99_ms:.1f} ms; {got.cpu_us:.1f} us of processor a ping; "
        f"a bare commit's p99 {got.bare_p99_ms:.1f} ms"
    )


if __name__ == "__main__":
    main()
