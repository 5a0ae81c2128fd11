"""Exact matching against shapely, in its two best forms; the answers are compared before a figure counts."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from benchmarks.city import city
from benchmarks.rounds import Line, alternate
from geo.index import FenceIndex

PEER_POINTS = 20_000


def run(rounds: int, fences: int, points: int) -> list[Line]:
    """Batches of points among city fences."""
    world = city(fences)
    index = FenceIndex.build(world.shapes)
    lat, lng = world.points(points)
    few = slice(0, min(PEER_POINTS, points))
    tree = shapely.STRtree(world.polygons)
    shapely.prepare(np.array(world.polygons, dtype=object))

    def ours() -> Any:
        return index.match(lat, lng)

    def bulk() -> Any:
        return tree.query(shapely.points(lng[few], lat[few]), predicate="intersects")

    def grouped() -> Any:
        at, fence = tree.query(shapely.points(lng[few], lat[few]))
        order = np.argsort(fence, kind="stable")
        at, fence = at[order], fence[order]
        starts = np.flatnonzero(np.r_[True, fence[1:] != fence[:-1]])
        keep = np.empty(len(at), bool)
        for start, stop in zip(starts, np.r_[starts[1:], len(at)], strict=True):
            part = at[start:stop]
            keep[start:stop] = shapely.intersects_xy(world.polygons[fence[start]], lng[few][part], lat[few][part])
        return at[keep], fence[keep]

    offsets, found = index.match(lat[few], lng[few])
    mine = set(zip(np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)).tolist(), found.tolist(), strict=True))
    for name, answer in (("STRtree", bulk()), ("grouped", grouped())):
        theirs = set(zip(answer[0].tolist(), answer[1].tolist(), strict=True))
        if mine != theirs:
            raise SystemExit(f"the answers differ from {name}'s: {len(mine - theirs)} more, {len(theirs - mine)} fewer")
    what = f"match {points:,} points, {fences:,} fences, {len(found) / (len(offsets) - 1):.1f} a point"
    asked = len(lat[few])
    return [
        alternate(Line(what, "points", points, "shapely STRtree, bulk", peer_count=asked), ours, bulk, rounds),
        alternate(
            Line(what, "points", points, "shapely, grouped and prepared", peer_count=asked), ours, grouped, rounds
        ),
    ]
