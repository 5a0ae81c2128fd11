"""The fold without I/O: a steady crowd among city fences, a rule on one fence in a hundred, beside bare matching."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from benchmarks.bench import Bench, Side, Size, pairs_of
from benchmarks.city import city
from benchmarks.crowd import T0, Walk
from benchmarks.site import RULE, site_of
from engine.step import Engine

if TYPE_CHECKING:
    from contextlib import ExitStack


def bench(size: Size, keep: ExitStack) -> Bench:
    """Everybody pings once a step; the fold does it all, the limit matches the same points and nothing else."""
    world = city(size.fences)
    site = site_of(world.geojson(), "", RULE)
    walk, engine = Walk(world, size.devices), Engine(site, T0)

    def ours() -> float:
        batch, now_ms = walk.step()
        began = time.process_time()
        engine.step([batch], now_ms)
        return time.process_time() - began

    def matched() -> Any:
        return pairs_of(*site.index.match(walk.lat, walk.lng))

    def limit() -> float:
        began = time.process_time()
        site.index.match(walk.lat, walk.lng)
        return time.process_time() - began

    # everybody is first seen here, and so enters what they stand in: not what is measured
    for _ in range(3):
        ours()
    transitions = sum(len(engine.step([batch], now_ms).transitions) for batch, now_ms in (walk.step(), walk.step()))
    return Bench(
        "fold", f"the fold, {size.devices:,} devices, {size.fences:,} fences", "pings",
        f"{world.said}; a walk of 7 m a ping, {transitions / 2 / size.devices:.3f} transitions a ping",
        Side("nearcast", size.devices, ours, matched),
        (Side("limit: matching alone", size.devices, limit, matched, "our match of the same points"),),
    )  # fmt: skip
