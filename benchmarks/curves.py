"""How speed changes with size: each curve a benchmark at several sizes, answers compared at every one.

Owns which sizes. What is measured, and beside whom, the benchmarks themselves say.
"""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks import fold, match
from benchmarks.city import city, stars
from benchmarks.peers import recipes
from benchmarks.rounds import measure, progress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.bench import Bench, Size
    from benchmarks.rounds import Line

STARS_A_POINT = 1.49
"""Fences a point of 10,000 `stars` in a box of spread 1."""
BATCHED = 20_000


@dataclass(frozen=True, slots=True)
class Curve:
    """One picture."""

    title: str
    x: str
    y: str
    sizes: tuple[float, ...]
    at: Callable[[Any, Size, ExitStack], Bench]


def _fences(fences: int, size: Size, keep: ExitStack) -> Bench:
    world = stars(fences, spread=math.sqrt(fences / 10_000))
    return match.among(f"{fences:,} fences", world, size.points // 5, keep, (recipes.grouped,))


def _overlap(overlap: float, size: Size, keep: ExitStack) -> Bench:
    fences = size.fences // 2
    world = stars(fences, spread=math.sqrt(STARS_A_POINT * fences / 10_000 / overlap))
    return match.among(f"{overlap:g} fences a point", world, size.points // 5, keep, (recipes.grouped,))


def _vertices(vertices: int, size: Size, keep: ExitStack) -> Bench:
    fences = size.fences // 10
    world = stars(fences, vertices, spread=math.sqrt(fences / 10_000))
    return match.among(f"{vertices:,} vertices a fence", world, size.points // 5, keep, (recipes.grouped,))


def _batch(batch: int, size: Size, keep: ExitStack) -> Bench:
    return match.in_batches(city(size.fences), min(BATCHED, max(batch, size.points // 10, 100 * batch)), batch)


def _devices(devices: int, size: Size, keep: ExitStack) -> Bench:
    return fold.bench(replace(size, devices=devices), keep)


def _rules(rules: int, size: Size, keep: ExitStack) -> Bench:
    return fold.bench(size, keep, rules=rules)


POINTS_S, PINGS_S = "points a second", "pings a second"

CURVES: dict[str, Curve] = {
    "fences": Curve("Matching by fences, as densely laid", "fences", POINTS_S, (100, 1_000, 10_000), _fences),
    "overlap": Curve("Matching by overlap", "fences that a point is in", POINTS_S, (0.1, 0.5, 2, 8, 32), _overlap),
    "vertices": Curve("Matching by vertices", "vertices a fence", POINTS_S, (8, 40, 200, 1_000), _vertices),
    "batch": Curve("Matching by batch", "points in a call", POINTS_S, (1, 10, 100, 1_000, 10_000), _batch),
    "devices": Curve("The fold by devices", "devices on foot", PINGS_S, (1_000, 10_000, 50_000, 200_000), _devices),
    "rules": Curve("The fold by rules", "rules on one fence in a hundred", PINGS_S, (1, 10, 100, 1_000), _rules),
}


def draw(name: str, size: Size) -> dict[str, Any]:
    """Measure a curve. Raises `DifferenceError`."""
    curve = CURVES[name]
    series: dict[str, list[list[float]]] = {}
    data = ""
    for x in curve.sizes:
        progress(f"        {name} {x:,}")
        with ExitStack() as keep:
            bench = curve.at(x, size, keep)
            lines = measure(bench, size.rounds)
        data = bench.data
        for line_name, rates in _rates(lines).items():
            series.setdefault(line_name, []).append([x, *rates])
    return {"title": curve.title, "x": curve.x, "y": curve.y, "data": data, "series": series}


def _rates(lines: Sequence[Line]) -> dict[str, tuple[float, float, float]]:
    """(median, least, most) units a second, of ours over all lines and of each peer."""
    spent = {"nearcast": (lines[0].count, sorted(s for line in lines for s in line.ours_s))}
    spent |= {line.peer: (line.peer_count or line.count, sorted(line.theirs_s)) for line in lines}
    return {
        name: tuple(float(f"{count / s[at]:.4g}") for at in (len(s) // 2, -1, 0))  # type: ignore[misc]
        for name, (count, s) in spent.items()
    }
