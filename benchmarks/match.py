"""Exact matching: which fences is each point in. Ours beside all that a user might pick instead, on the same data."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.bench import Bench, Size, pairs_of, side
from benchmarks.city import city
from benchmarks.peers import postgis, recipes
from benchmarks.peers.program import PROGRAMS, AbsentError, asked, write_data
from geo.index import FenceIndex

if TYPE_CHECKING:
    from contextlib import ExitStack


def bench(size: Size, keep: ExitStack) -> Bench:
    """All points in one batch among city fences; every (point, fence) pair of every peer is compared."""
    world = city(size.fences)
    index = FenceIndex.build(world.shapes)
    lat, lng = world.points(size.points)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    write_data(folder, world, lat, lng)
    peers = [recipe(world, lat, lng) for recipe in (recipes.bulk, recipes.grouped, recipes.h3_dict)]
    absent = []
    for program in PROGRAMS:
        try:
            running, peer = asked(program, folder, len(lat))
            keep.callback(running.close)
            peers.append(peer)
        except AbsentError as error:
            absent.append(str(error))
    try:
        peers.append(postgis.side(world, lat, lng, keep))
    except AbsentError as error:
        absent.append(str(error))
    found = len(index.match(lat, lng)[1])
    return Bench(
        "match", f"fences of a point, of {size.fences:,}", "points",
        f"{world.said}; {found / len(lat):.1f} fences a point",
        side("nearcast", len(lat), lambda: index.match(lat, lng), lambda got: pairs_of(*got)),
        tuple(peers), tuple(absent),
    )  # fmt: skip
