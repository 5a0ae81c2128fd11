"""What people write in Python: shapely's tree, the same grouped by fence, and H3 cells in a dictionary.

Owns the recipes, each as its own documentation and the usual tutorials have it, at its best. All take a border as
inside (`intersects`), as Nearcast does.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import h3.api.basic_int as h3
import numpy as np
import shapely

from benchmarks.bench import Side, pairs, side

if TYPE_CHECKING:
    from benchmarks.city import City

H3_RESOLUTION = 9
"""What tutorials take for shops and blocks: cells of 200 m edges. 8 to 11 are as quick, within a sixth."""


def bulk(world: City, lat: Any, lng: Any) -> Side:
    """`STRtree.query` with a predicate, all points in one call."""
    tree = shapely.STRtree(world.polygons)
    return side(
        "shapely STRtree, bulk", len(lat),
        lambda: tree.query(shapely.points(lng, lat), predicate="intersects"), _pairs,
        "STRtree.query(points, predicate='intersects'), all points in one call",
    )  # fmt: skip


def grouped(world: City, lat: Any, lng: Any) -> Side:
    """The tree for the boxes only; then all points of a fence at once, on its prepared form."""
    tree = shapely.STRtree(world.polygons)
    polygons = np.array(world.polygons, dtype=object)
    shapely.prepare(polygons)
    return side(
        "shapely, grouped", len(lat), lambda: match_grouped(tree, polygons, lat, lng), _pairs,
        "STRtree.query for the boxes, sorted by fence, then intersects_xy of each prepared fence on all its points",
    )  # fmt: skip


def match_grouped(tree: Any, polygons: Any, lat: Any, lng: Any) -> tuple[Any, Any]:
    """(points, fences) of the grouped recipe; `polygons` are prepared."""
    at, fence = tree.query(shapely.points(lng, lat))
    if not len(at):
        return at, fence
    order = np.argsort(fence, kind="stable")
    at, fence = at[order], fence[order]
    starts = np.flatnonzero(np.r_[True, fence[1:] != fence[:-1]])
    keep = np.empty(len(at), bool)
    for start, stop in zip(starts, np.r_[starts[1:], len(at)], strict=True):
        part = at[start:stop]
        keep[start:stop] = shapely.intersects_xy(polygons[fence[start]], lng[part], lat[part])
    return at[keep], fence[keep]


def h3_dict(world: City, lat: Any, lng: Any) -> Side:
    """Cells of the fences in a dictionary; of each point the cell, and the exact test of the fences there.

    The cells are all that overlap a fence: those whose middle is inside, which `polygon_to_cells` gives and tutorials
    show, lose points near the border; the form says how many.
    """
    polygons = np.array(world.polygons, dtype=object)
    shapely.prepare(polygons)
    cells: dict[int, Any] = defaultdict(list)
    for number, polygon in enumerate(world.polygons):
        # without its holes: `overlap` leaves out a cell that holds a hole whole, and with it inside points
        outer = h3.geo_to_h3shape(shapely.Polygon(polygon.exterior))
        for cell in h3.h3shape_to_cells_experimental(outer, H3_RESOLUTION, "overlap"):
            cells[cell].append(number)
    held = {cell: (np.array(numbers), polygons[numbers]) for cell, numbers in cells.items()}

    def work() -> Any:
        points, fences = [], []
        for n, (y, x) in enumerate(zip(lat.tolist(), lng.tolist(), strict=True)):
            near = held.get(h3.latlng_to_cell(y, x, H3_RESOLUTION))
            if near is not None:
                inside = near[0][shapely.intersects_xy(near[1], x, y)]
                points += [n] * len(inside)
                fences += inside.tolist()
        return points, fences

    return side(
        "h3 + dict + shapely", len(lat), work, _pairs,
        f"h3 cells (resolution {H3_RESOLUTION}) that overlap each fence in a dict, then intersects_xy of those of the "
        f"point's cell; with plain polygon_to_cells {_lost(world, lat, lng):.0%} of the pairs are not found",
    )  # fmt: skip


def _pairs(found: Any) -> Any:
    return pairs(*found)


def _lost(world: City, lat: Any, lng: Any) -> float:
    """The share of (point, fence) pairs that plain `polygon_to_cells`, cells whose middle is inside, does not find."""
    cells: dict[int, list[int]] = defaultdict(list)
    for number, polygon in enumerate(world.polygons):
        for cell in h3.polygon_to_cells(h3.geo_to_h3shape(polygon), H3_RESOLUTION):
            cells[cell].append(number)
    at, fence = shapely.STRtree(world.polygons).query(shapely.points(lng, lat), predicate="intersects")
    of = [h3.latlng_to_cell(y, x, H3_RESOLUTION) for y, x in zip(lat.tolist(), lng.tolist(), strict=True)]
    held = {cell: set(numbers) for cell, numbers in cells.items()}
    lost = sum(f not in held.get(of[p], ()) for p, f in zip(at.tolist(), fence.tolist(), strict=True))
    return lost / max(len(at), 1)
