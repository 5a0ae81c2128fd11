"""The fold without I/O: a steady crowd among city fences, a rule on one fence in a hundred, beside bare matching."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from shapely.geometry import mapping

from benchmarks.city import city
from benchmarks.rounds import Line, alternate
from engine.rows import Rows, columns
from engine.site import read_site
from engine.step import Engine

RULE = """
id: bench
state: live
trigger: {event: entered, place: {tag: watched}}
audience: {all: [{consent: marketing}]}
actions: [{push: {title: "Hello", body: "You are at {place.name}"}}]
"""
T0 = 1_795_593_600_000
STEP_MS = 5_000


def run(rounds: int, fences: int, devices: int) -> list[Line]:
    """Everybody pings once a step; the fold does it all, the peer matches the same points and nothing else."""
    world = city(fences)
    features = [
        {"type": "Feature", "id": f"f{n}", "geometry": mapping(p),
         "properties": {"timezone": "Asia/Tokyo", "tags": ["watched"] if n % 100 == 0 else []}}
        for n, p in enumerate(world.polygons)
    ]  # fmt: skip
    collection = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    site, mistakes = read_site({"fences/city.geojson": collection, "rules/bench.yaml": RULE.encode()})
    if site is None:
        raise SystemExit("\n".join(str(m) for m in mistakes))
    walk = _Walk(world, devices)
    engine = Engine(site, T0)
    told = 0

    def ours() -> None:
        nonlocal told
        batch, now_ms = walk.step()
        told += len(engine.step([batch], now_ms).transitions)

    def bare() -> None:
        site.index.match(walk.lat, walk.lng)

    line = Line(f"fold, {devices:,} devices walking, {fences:,} fences", "pings", devices, "matching alone")
    ours()
    told = 0
    alternate(line, ours, bare, rounds)
    line.what += f", {told / (devices * (rounds + 1)):.3f} transitions a ping"
    return [line]


class _Walk:
    """A crowd on foot: 7 m a step, turning a little."""

    def __init__(self, world: Any, devices: int) -> None:
        self.lat, self.lng = world.points(devices)
        self._rng = world.rng
        self._heading = self._rng.uniform(0, 2 * np.pi, devices)
        self._names = [f"d{n}" for n in range(devices)]
        self._now_ms = T0
        self._none: list[Any] = [None] * devices

    def step(self) -> tuple[Any, int]:
        """One ping of everybody."""
        self._now_ms += STEP_MS
        self._heading += self._rng.normal(0, 0.3, len(self._names))
        self.lat = self.lat + 7 * np.sin(self._heading) / 110_940
        self.lng = self.lng + 7 * np.cos(self._heading) / 90_800
        count = len(self._names)
        rows = Rows(
            self._names, [self._now_ms] * count, self.lat.tolist(), self.lng.tolist(), self._none, self._none,
            [10.0] * count, self._none, self._none, self._none, self._none,
        )  # fmt: skip
        return columns([rows]), self._now_ms
