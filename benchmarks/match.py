"""Exact matching: which fences is each point in. Ours beside all that a user might pick instead, on the same data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from benchmarks.bench import Bench, Side, Size, pairs, pairs_of, side
from benchmarks.city import City, city
from benchmarks.peers import postgis, recipes
from benchmarks.peers.program import PROGRAMS, AbsentError, asked, write_data
from geo.index import FenceIndex

if TYPE_CHECKING:
    from contextlib import ExitStack

Recipe = Callable[[City, Any, Any], Side]


def bench(size: Size, keep: ExitStack) -> Bench:
    """All points in one batch among city fences."""
    every = (recipes.bulk, recipes.grouped, recipes.h3_dict)
    return among(
        f"fences of a point, of {size.fences:,}", city(size.fences), size.points, keep, every, with_postgis=True
    )


def among(
    what: str, world: City, points: int, keep: ExitStack, by_python: tuple[Recipe, ...], *, with_postgis: bool = False
) -> Bench:
    """Points among the fences of a world; every (point, fence) pair of every peer is compared."""
    index = FenceIndex.build(world.shapes)
    lat, lng = world.points(points)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    write_data(folder, world, lat, lng)
    peers, absent = [recipe(world, lat, lng) for recipe in by_python], []
    for program in PROGRAMS:
        try:
            running, peer = asked(program, folder, points)
            keep.callback(running.close)
            peers.append(peer)
        except AbsentError as error:
            absent.append(str(error))
    if with_postgis:
        try:
            peers.append(postgis.side(world, lat, lng, keep))
        except AbsentError as error:
            absent.append(str(error))
    found = len(index.match(lat, lng)[1])
    return Bench(
        "match", what, "points", f"{world.said}; {found / points:.1f} fences a point",
        side("nearcast", points, lambda: index.match(lat, lng), lambda got: pairs_of(*got)),
        tuple(peers), tuple(absent),
    )  # fmt: skip


def in_batches(world: City, points: int, batch: int) -> Bench:
    """The same points a batch at a time, as they come in."""
    index = FenceIndex.build(world.shapes)
    lat, lng = world.points(points)
    tree, polygons = shapely.STRtree(world.polygons), np.array(world.polygons, dtype=object)
    shapely.prepare(polygons)
    parts = [slice(n, n + batch) for n in range(0, points, batch)]

    def answer(found: list[tuple[Any, Any]]) -> Any:
        at = np.concatenate([points + n * batch for n, (points, _) in enumerate(found)])
        return pairs(at, np.concatenate([fences for _, fences in found]))

    def ours(found: list[tuple[Any, Any]]) -> Any:
        return answer([(np.repeat(np.arange(len(ends) - 1), np.diff(ends)), fences) for ends, fences in found])

    return Bench(
        "batch", f"{batch:,} points at a time", "points", world.said,
        side("nearcast", points, lambda: [index.match(lat[p], lng[p]) for p in parts], ours),
        (
            side(
                "shapely, grouped", points,
                lambda: [recipes.match_grouped(tree, polygons, lat[p], lng[p]) for p in parts], answer,
            ),
        ),
    )  # fmt: skip
