"""The fold without I/O: a steady crowd among city fences, a rule on one fence in a hundred, beside bare matching."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench, Side, Size, pairs_of
from benchmarks.city import city
from benchmarks.crowd import STROLL_M, T0, Walk
from benchmarks.site import RULE, site_of
from engine.step import Engine

if TYPE_CHECKING:
    from contextlib import ExitStack

BATCH = 5_000
"""Rows of one step: what gathers while a commit runs, under load."""
WARM_UP = 16
"""Steps of everybody before anything is timed: until as many leave as enter."""


def bench(size: Size, keep: ExitStack, *, name: str = "fold", instant: bool = False, rules: int = 1) -> Bench:
    """Everybody pings every 5 s; the fold does it all, the limit matches the same points and nothing else."""
    world = city(size.fences)
    named = (RULE.replace("id: bench", f"id: bench-{n}") for n in range(rules))
    site = site_of(world.geojson(), "detection: {preset: instant}" if instant else "", *named)
    walk, engine = Walk(world, size.devices, STROLL_M), Engine(site, T0)
    moved: list[int] = []

    def ours() -> float:
        walk.move()
        batches, told = walk.batches(BATCH), []
        began = time.process_time()
        for batch in batches:
            told.append(engine.step([batch], walk.now_ms).transitions)
        spent = time.process_time() - began
        moved.append(sum(map(len, told)))
        return spent

    def matched() -> Any:
        return pairs_of(*site.index.match(walk.lat, walk.lng))

    def limit() -> float:
        points = [(walk.lat[at : at + BATCH], walk.lng[at : at + BATCH]) for at in range(0, size.devices, BATCH)]
        began = time.process_time()
        for lat, lng in points:
            site.index.match(lat, lng)
        return time.process_time() - began

    for _ in range(WARM_UP):
        ours()
    transitions = sum(moved[-2:]) / 2 / size.devices
    detection = "instant" if instant else "default"
    return Bench(
        name, f"the fold, {detection} detection, {size.devices:,} devices, {size.fences:,} fences", "pings",
        f"{world.said}; a walk of {STROLL_M} m a ping, {transitions:.3f} transitions a ping, {BATCH:,} pings a step",
        Side("nearcast", size.devices, ours, matched),
        (Side("limit: matching alone", size.devices, limit, matched, "our match of the same points"),),
    )  # fmt: skip
