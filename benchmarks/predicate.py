"""Is a point in a polygon, exactly: our predicate beside GEOS on its prepared form, one polygon and many points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from benchmarks.bench import Bench, Size, side
from benchmarks.city import stars
from geo.arrays import FloatArray
from geo.columns import Columns, columns_of
from geo.cover import in_area
from geo.kernel import maker

if TYPE_CHECKING:
    from contextlib import ExitStack

VERTICES = 64


def bench(size: Size, keep: ExitStack) -> Bench:
    """Points in the polygon's box, and every corner and middle of an edge among them, which lie on the border."""
    world = stars(1, VERTICES)
    polygon, columns = world.polygons[0], columns_of(world.shapes)
    west, south, east, north = polygon.bounds
    corners = np.array(polygon.exterior.coords)
    on = np.concatenate([corners, (corners[:-1] + corners[1:]) / 2])
    lng = np.concatenate([on[:, 0], world.rng.uniform(west, east, size.points)])
    lat = np.concatenate([on[:, 1], world.rng.uniform(south, north, size.points)])
    shapely.prepare(polygon)
    return Bench(
        "predicate", f"point in a polygon of {VERTICES} vertices", "points",
        f"seed 1; one star of {VERTICES} vertices, points uniform in its box, its corners and middles of edges too",
        side("nearcast", len(lat), lambda: _inside(columns, lat, lng), np.flatnonzero),
        (
            side(
                "GEOS, prepared", len(lat), lambda: shapely.intersects_xy(polygon, lng, lat), np.flatnonzero,
                "shapely.prepare, then shapely.intersects_xy on all points in one call",
            ),
        ),
    )  # fmt: skip


@maker
def _inside(columns: Columns, lat: FloatArray, lng: FloatArray) -> Any:
    out = np.empty(lat.shape[0], np.bool_)
    for k in range(lat.shape[0]):
        out[k] = in_area(columns, 0, lat[k], lng[k])
    return out
