"""From a body's bytes to columns: ours beside what people write, and beside bare parsing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from benchmarks.bench import Bench, Size, side
from benchmarks.city import stars
from benchmarks.crowd import T0
from engine.ping_reader import PingReader
from engine.pings import located
from engine.settings import PingLimits

if TYPE_CHECKING:
    from contextlib import ExitStack

BATCH = 1_000


def bench(size: Size, keep: ExitStack) -> Bench:
    """Bodies of 1,000 pings, as a gateway posts them. Columns are compared value by value."""
    world = stars(1)
    lat, lng = world.points(size.devices)
    pings = [
        {"device": f"d{n}", "time": T0 + n % 1_000, "lat": a, "lng": b, "accuracy": 8.0}
        for n, (a, b) in enumerate(zip(lat.tolist(), lng.tolist(), strict=True))
    ]
    bodies = [json.dumps(sorted(pings[n : n + BATCH], key=_time)).encode() for n in range(0, len(pings), BATCH)]

    reader = PingReader()

    def ours() -> Any:
        limits = PingLimits()
        return [
            located([reader.read(body, ndjson=False, now_ms=T0 + 1_000, limits=limits).pings]) for body in bodies
        ]  # fmt: skip

    return Bench(
        "decode", f"decode bodies of {BATCH:,} pings", "pings",
        f"seed 1; {len(bodies)} bodies of {len(bodies[0]) / min(BATCH, len(pings)):.0f} bytes a ping",
        side("nearcast", len(pings), ours, _values),
        (
            side(
                "json + checks", len(pings), lambda: [_by_hand(json.loads(body)) for body in bodies], _flat,
                "json.loads, then for each ping the fields are there, of their types and within their bounds",
            ),
            side(
                "limit: orjson alone", len(pings), lambda: [orjson.loads(body) for body in bodies],
                lambda got: _flat([[tuple(p[f] for f in FIELDS) for p in pings] for pings in got]),
                "orjson.loads, nothing checked",
            ),
        ),
    )  # fmt: skip


FIELDS = ("device", "time", "lat", "lng", "accuracy")


def _time(ping: dict[str, Any]) -> int:
    time: int = ping["time"]
    return time


def _by_hand(pings: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Rows of the good ones; the benchmark's are all good."""
    good = []
    for ping in pings:
        device, time, lat, lng, accuracy = (ping.get(field) for field in FIELDS)
        if not isinstance(device, str) or not 0 < len(device) <= 128:
            continue
        if not isinstance(time, int) or not T0 - 86_400_000 <= time <= T0 + 300_000:
            continue
        if not isinstance(lat, float) or not isinstance(lng, float) or not -90 <= lat <= 90 or not -180 <= lng <= 180:
            continue
        good.append((device, time, lat, lng, accuracy))
    return good


def _values(batches: list[Any]) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    for batch in batches:
        numbers = [batch.column(name).tolist() for name in FIELDS]
        rows += zip([batch.strings[n] for n in numbers[0]], *numbers[1:], strict=True)
    return rows


def _flat(parts: list[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return [row for part in parts for row in part]
