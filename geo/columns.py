"""All fences of a map as columns of numbers: the form in which the kernels read them.

Owns that layout. Must not know the index. One tuple of arrays is handed to every kernel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from geo.arrays import FloatArray, IntArray
from geo.geodesic import CURVATURE_M_MIN, chord_m_bounds, ecef
from geo.kernel import kernel
from geo.shape import Area, Circle, Corridor, Shape, chains_of, joined
from geo.trig import RADIANS, unit_vector

AREA, CIRCLE, CORRIDOR = 0, 1, 2

Array = NDArray[Any]

BLOCK = 32
"""Edges that follow each other lie close together: so many share one box, and are passed over at once."""

GROUP = 16
"""Where a fence has more blocks than this, so many share a box too: a long border is mostly passed over in strides."""

BOX = 6
"""Numbers of a box."""

FENCES_MAX = 1 << 26
"""67 million, those of older versions of the map counted: records keep other things in the bits above."""

STEPS = 65_535
"""A sketch divides a box into so many steps each way."""


class Columns(NamedTuple):
    """The fences, by row: one for each fence there is or was. Arrays may have room behind the last.

    kind: int8[n], one of AREA, CIRCLE, CORRIDOR.
    span: int64[n, 4]: rows of `edges`. [0]:[2] say what is inside an area, [1]:[3] are its border on the ground; they
        differ for areas cut at the antimeridian only, where the cut is no border. A corridor's line is [0]:[2].
    edges: float64[m, 4] of (lng0, lat0, lng1, lat1) in degrees.
    first_block: int64[n]; boxes: float64[b, BOX] of (lng0, lat0, lng1, lat1, from, to): box k of a fence holds its
        BLOCK edges from row span[0] + k BLOCK on. Behind them, if there are more than GROUP, come those of each GROUP
        of them. `from` and `to` are the latitudes where the edges up to span[2] begin and end if each begins at that
        where the one before it ends, else `from` is nan.
    sketch: uint16[m, 4]: the edges again, in steps of their box from its (lng0, lat0): STEPS of them are its width, or
        its height. A quarter of the size, and right to half a step.
    size_m: float64[n]: a circle's radius, a corridor's buffer, else 0.
    disc: float64[n, 7]: a circle's lat, lng, its centre as `ecef`, and the squares of `chord_m_bounds`.
    cap: float64[n, 4]: the unit vector and the radius in radians of a cap of H3's sphere that holds the fence.
    extent: float64[n, 2]: about how much ground the fence covers, and how long its border is; on the unit sphere.
    """

    kind: IntArray
    span: IntArray
    edges: FloatArray
    first_block: IntArray
    boxes: FloatArray
    sketch: IntArray
    size_m: FloatArray
    disc: FloatArray
    cap: FloatArray
    extent: FloatArray


EMPTY = Columns(
    np.empty(0, np.int8), np.empty((0, 4), np.int64), np.empty((0, 4)), np.empty(0, np.int64), np.empty((0, BOX)),
    np.empty((0, 4), np.uint16), np.empty(0), np.empty((0, 7)), np.empty((0, 4)), np.empty((0, 2)),
)  # fmt: skip


@dataclass(slots=True)
class Filled:
    """How far columns are filled: what lies beyond is free. One for all versions of a map that share the arrays."""

    fences: int = 0
    edges: int = 0
    boxes: int = 0


AT_ONCE = 4096
"""Shapes that are laid out together."""


def columns_of(shapes: Sequence[Shape]) -> Columns:
    """The columns of `shapes`, in their order."""
    return appended(EMPTY, Filled(), shapes)


def appended(columns: Columns, filled: Filled, shapes: Sequence[Shape]) -> Columns:
    """The columns with `shapes` behind what is there; moves `filled` on.

    Where there is room they are the same arrays: who knows only the older fences sees no difference.
    """
    first = filled.fences
    if first + len(shapes) > FENCES_MAX:
        raise ValueError(f"there is room for {FENCES_MAX:,} fences, not for {first + len(shapes):,}")
    columns = _with_room(columns, filled, len(shapes), sum(len(c) - 1 for s in shapes for c in chains_of(s)))
    for k in range(0, len(shapes), AT_ONCE):
        columns = _append(columns, filled, shapes[k : k + AT_ONCE])
    span = columns.span[first : filled.fences]
    blocks = -(-(span[:, 3] - span[:, 0]) // BLOCK)
    boxes = blocks + np.where(blocks > GROUP, -(-blocks // GROUP), 0)
    columns.first_block[first : filled.fences] = filled.boxes + np.cumsum(boxes) - boxes
    filled.boxes += int(boxes.sum())
    if shapes:
        _fill(columns, first, filled.fences)
    return columns


def _with_room(columns: Columns, filled: Filled, fences: int, edges: int) -> Columns:
    """The columns with room for so many fences and edges more: the same arrays where there is."""
    boxes = filled.boxes + edges // BLOCK + fences + edges // (BLOCK * GROUP) + fences + 1
    each_edge = (filled.edges, filled.edges + edges)
    rows = {"edges": each_edge, "sketch": each_edge, "boxes": (filled.boxes, boxes)}
    each = (filled.fences, filled.fences + fences)
    return columns._replace(**{k: _longer(a, *rows.get(k, each)) for k, a in columns._asdict().items()})


def _longer(array: Array, used: int, size: int) -> Array:
    """The array, or a longer copy; what is not written to yet takes no memory, so there is some to spare."""
    if size <= len(array):
        return array
    out = np.empty((size + size // 8 + 64, *array.shape[1:]), array.dtype)
    # another version may have gone beyond the end, in a copy of its own
    used = min(used, len(array))
    out[:used] = array[:used]
    return out


def _append(columns: Columns, filled: Filled, shapes: Sequence[Shape]) -> Columns:
    """Lay out some shapes; `first_block`, and what follows from the edges, is left to the caller."""
    counts = np.array([sum(len(c) - 1 for c in chains_of(s)) for s in shapes], np.int64)
    edges = joined([c for s in shapes for c in chains_of(s)])
    ends = filled.edges + np.cumsum(counts)
    span = np.stack([ends - counts, ends - counts, ends, ends], axis=1)
    if (np.abs(edges[:, 0]) == 180.0).any():
        edges, span = _parted(edges, counts, span, shapes)
        columns = _with_room(columns, filled, len(shapes), len(edges))
    first, last = filled.fences, filled.fences + len(shapes)
    columns.edges[filled.edges : filled.edges + len(edges)] = edges
    columns.span[first:last] = span
    for k, shape in enumerate(shapes, first):
        if isinstance(shape, Circle):
            columns.kind[k], columns.size_m[k] = CIRCLE, shape.radius_m
            columns.disc[k, :2] = shape.lat_deg, shape.lng_deg
        elif isinstance(shape, Corridor):
            columns.kind[k], columns.size_m[k] = CORRIDOR, shape.buffer_m
        else:
            columns.kind[k], columns.size_m[k] = AREA, 0.0
    filled.fences, filled.edges = last, filled.edges + len(edges)
    return columns


def _parted(
    edges: FloatArray, counts: IntArray, span: IntArray, shapes: Sequence[Shape]
) -> tuple[FloatArray, IntArray]:
    """The edges and spans of shapes of which some may be cut at the antimeridian."""
    parts: list[FloatArray] = []
    row = int(span[0, 0])
    span = span.copy()
    for k, own in enumerate(np.split(edges, np.cumsum(counts)[:-1])):
        three = _without_cut(own) if isinstance(shapes[k], Area) else (own[:0], own, own[:0])
        span[k] = row + np.cumsum([0, *map(len, three)])
        row = int(span[k, 3])
        parts += three
    return np.concatenate(parts), span


def _without_cut(edges: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(edges along the antimeridian, the others, what of the first is border on the ground).

    Along +-180 an area may go on from the other side: the stretches that both sides have are a cut, not a border.
    """
    east = (edges[:, 0] == 180.0) & (edges[:, 2] == 180.0)
    west = (edges[:, 0] == -180.0) & (edges[:, 2] == -180.0)
    if not (east.any() and west.any()):
        return edges[:0], edges, edges[:0]
    on_east = np.sort(edges[east][:, [1, 3]], axis=1)
    on_west = np.sort(edges[west][:, [1, 3]], axis=1)
    rest = [(180.0, a, 180.0, b) for a, b in _less(on_east, on_west)]
    rest += [(-180.0, a, -180.0, b) for a, b in _less(on_west, on_east)]
    return edges[east | west], edges[~(east | west)], np.array(rest).reshape(-1, 4)


def _less(stretches: FloatArray, others: FloatArray) -> list[tuple[float, float]]:
    """What of `stretches` (low, high) no other covers."""
    out = []
    for low, high in stretches:
        at = low
        for a, b in others[np.argsort(others[:, 0])]:
            if b <= at or a >= high:
                continue
            if a > at:
                out.append((at, a))
            at = max(at, b)
        if at < high:
            out.append((at, high))
    return [(float(a), float(b)) for a, b in out]


@kernel
def _fill(columns: Columns, first: int, last: int) -> None:
    """Work out `boxes`, `sketch`, `disc`, `cap` and `extent` of some fences."""
    for f in range(first, last):
        if columns.kind[f] == CIRCLE:
            lat, lng = columns.disc[f, 0], columns.disc[f, 1]
            columns.disc[f, 2], columns.disc[f, 3], columns.disc[f, 4] = ecef(lat, lng)
            low, high = chord_m_bounds(columns.size_m[f])
            columns.disc[f, 5], columns.disc[f, 6] = low * low, high * high
            columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2] = unit_vector(lat, lng)
            reach = columns.size_m[f] / CURVATURE_M_MIN
            columns.cap[f, 3] = reach
            columns.extent[f, 0], columns.extent[f, 1] = math.pi * reach * reach, 2.0 * math.pi * reach
        else:
            _fill_boxes(columns, f)
            _fill_sketch(columns, f)
            _fill_cap(columns, f)
            _fill_extent(columns, f)


@kernel
def _fill_boxes(columns: Columns, f: int) -> None:
    first, last = columns.span[f, 0], columns.span[f, 3]
    for e in range(first, last):
        box = columns.boxes[columns.first_block[f] + (e - first) // BLOCK]
        x0, y0, x1, y1 = columns.edges[e]
        if (e - first) % BLOCK == 0:
            box[0], box[1], box[2], box[3], box[4], box[5] = x0, y0, x0, y0, y0, y0
        box[0], box[1] = min(box[0], x0, x1), min(box[1], y0, y1)
        box[2], box[3] = max(box[2], x0, x1), max(box[3], y0, y1)
        if e < columns.span[f, 2]:
            box[4], box[5] = box[4] if y0 == box[5] else math.nan, y1
    blocks = (last - first + BLOCK - 1) // BLOCK
    if blocks <= GROUP:
        return
    for k in range(blocks):
        box = columns.boxes[columns.first_block[f] + k]
        wide = columns.boxes[columns.first_block[f] + blocks + k // GROUP]
        if k % GROUP == 0:
            for n in range(BOX):
                wide[n] = box[n]
            continue
        wide[0], wide[1] = min(wide[0], box[0]), min(wide[1], box[1])
        wide[2], wide[3] = max(wide[2], box[2]), max(wide[3], box[3])
        if k * BLOCK < columns.span[f, 2] - first:
            wide[4], wide[5] = wide[4] if box[4] == wide[5] else math.nan, box[5]


@kernel
def _fill_sketch(columns: Columns, f: int) -> None:
    first, last = columns.span[f, 0], columns.span[f, 3]
    for e in range(first, last):
        box = columns.boxes[columns.first_block[f] + (e - first) // BLOCK]
        west, south, east, north = box[0], box[1], box[2], box[3]
        each_x = STEPS / (east - west) if east > west else 0.0
        each_y = STEPS / (north - south) if north > south else 0.0
        for k in range(0, 4, 2):
            columns.sketch[e, k] = int((columns.edges[e, k] - west) * each_x + 0.5)
            columns.sketch[e, k + 1] = int((columns.edges[e, k + 1] - south) * each_y + 0.5)


@kernel
def _fill_cap(columns: Columns, f: int) -> None:
    """A cap round the mean of the vertices; the whole sphere for what reaches round the earth."""
    first, last = columns.span[f, 0], columns.span[f, 2]
    cx, cy, cz = 0.0, 0.0, 0.0
    for e in range(first, last):
        x, y, z = unit_vector(columns.edges[e, 1], columns.edges[e, 0])
        cx, cy, cz = cx + x, cy + y, cz + z
    r = math.sqrt(cx * cx + cy * cy + cz * cz)
    if r < 0.01 * (last - first):
        columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2], columns.cap[f, 3] = 0.0, 0.0, 1.0, math.pi
        return
    cx, cy, cz = cx / r, cy / r, cz / r
    far = 0.0
    for e in range(first, last):
        x0, y0, x1, y1 = columns.edges[e]
        count = 1 + int(max(abs(x1 - x0), abs(y1 - y0)))
        # a cap is convex up to a quarter turn, so that only the bend of a piece can leave that of its ends
        length = math.hypot(x1 - x0, y1 - y0) / count * RADIANS
        bend = 0.25 * length * abs(x1 - x0) / count * RADIANS
        for k in range(count + 1):
            t = k / count
            x, y, z = unit_vector(y0 + t * (y1 - y0), x0 + t * (x1 - x0))
            chord = math.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2)
            angle = 2.0 * math.asin(min(1.0, 0.5 * chord))
            far = max(far, angle + (bend if angle < 1.4 else length))
    columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2] = cx, cy, cz
    columns.cap[f, 3] = min(math.pi, far + columns.size_m[f] / CURVATURE_M_MIN)


@kernel
def _fill_extent(columns: Columns, f: int) -> None:
    """Rough figures, for the choice of a resolution only."""
    area, length = 0.0, 0.0
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        middle = 0.5 * (y0 + y1) * RADIANS
        area += (x1 - x0) * RADIANS * math.sin(middle)
        length += math.hypot((x1 - x0) * math.cos(middle), y1 - y0) * RADIANS
    buffer = columns.size_m[f] / CURVATURE_M_MIN
    if columns.kind[f] == AREA:
        columns.extent[f, 0], columns.extent[f, 1] = abs(area), length
    else:
        columns.extent[f, 0] = 2.0 * buffer * length + math.pi * buffer * buffer
        columns.extent[f, 1] = 2.0 * length + 2.0 * math.pi * buffer
