"""Which cells a fence touches: the rasteriser.

Owns the classification of cells as *whole* (every point that falls into the cell is in the fence) or *border* (some may
be); all others are empty. Must not know how the index stores them. Works on one fence, one resolution, one face of the
icosahedron at a time, in the face's gnomonic plane: there a cell is a regular hexagon of inradius 1/2, and a cell on a
face's edge is done once for each face that owns points of it.

Nothing here needs to be exact, only safe: margins are always on the side of *border*, which is then decided exactly.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import AREA, CIRCLE, Columns
from geo.cover import covers
from geo.face import CORNER, FRAMES, cell_centre, from_plane, to_plane, wall_gap
from geo.geodesic import CURVATURE_M_MAX, CURVATURE_M_MIN
from geo.kernel import kernel
from geo.trig import RADIANS, lat_lng, unit_vector

EMPTY, BORDER, WHOLE = 0, 1, 2

PIECE_CELLS = 3.0
"""Edges are cut into pieces of at most so many cells, each then taken as straight in the plane."""

TURN_MAX = 0.02
"""And of at most so many radians of longitude: a piece bends away by less than length x turn / 4 (doubled below)."""

MARGIN = 2e-3
"""Cells nearer than this to an edge are *border*: absorbs all rounding, here and in H3."""

ROUND = 1.0 / math.sqrt(3.0)
"""The circumradius of a cell."""


class Window(NamedTuple):
    """The part of one face's lattice that a fence may touch.

    `a, b, c, d` is the lattice; rows are j in [j0, j0 + height), columns i in [i0, i0 + width).
    """

    face: int
    a: float
    b: float
    c: float
    d: float
    unit: float
    i0: int
    j0: int
    width: int
    height: int


@kernel
def window_of(columns: Columns, f: int, face: int, lattice: FloatArray) -> Window:
    """The window of fence `f` on `face`; its width is 0 if the fence stays clear of the face."""
    a, b, c, d = lattice[0], lattice[1], lattice[2], lattice[3]
    unit = 1.0 / math.sqrt(a * d - b * c)
    cx, cy, cz, reach = columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2], columns.cap[f, 3]
    margin = reach + 4.0 * unit
    if margin < 1.5 and wall_gap(face, cx, cy, cz) < -math.sin(margin):
        return Window(face, a, b, c, d, unit, 0, 0, 0, 0)
    # the face's triangle, a little larger
    u0, v0, u1, v1 = -CORNER, -CORNER, CORNER, CORNER
    m = FRAMES[face]
    away = math.acos(max(-1.0, min(1.0, m[2, 0] * cx + m[2, 1] * cy + m[2, 2] * cz)))
    if away + reach < 1.2:
        # a step on the sphere is at most 1 / cos^2 of it in the plane
        u, v = to_plane(face, cx, cy, cz)
        r = math.tan(away + reach) - math.tan(away)
        u0, v0, u1, v1 = max(u0, u - r), max(v0, v - r), min(u1, u + r), min(v1, v + r)
    i_low, i_high, j_low, j_high = math.inf, -math.inf, math.inf, -math.inf
    for k in range(4):
        u = u0 if k & 1 else u1
        v = v0 if k & 2 else v1
        x, y = a * u + b * v, c * u + d * v
        i, j = x + y * ROUND, y * 2.0 * ROUND
        i_low, i_high, j_low, j_high = min(i_low, i), max(i_high, i), min(j_low, j), max(j_high, j)
    i0, j0 = math.floor(i_low) - 2, math.floor(j_low) - 2
    width, height = math.ceil(i_high) + 3 - i0, math.ceil(j_high) + 3 - j0
    if u0 > u1 or v0 > v1:
        width = 0
    return Window(face, a, b, c, d, unit, i0, j0, max(0, width), max(0, height))


@kernel
def raster(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Classify the cells of the window: `state` is int8[height * width], row by row; `near` is scratch of that size."""
    size = w.width * w.height
    state[:size] = EMPTY
    if columns.kind[f] == CIRCLE:
        _raster_disc(columns, f, w, state)
    elif columns.kind[f] == AREA:
        _walk_edges(columns, f, w, state, near, 0.0)
        _fill_rows(columns, f, w, state)
    else:
        near[:size] = math.inf
        _walk_edges(columns, f, w, state, near, columns.size_m[f] / CURVATURE_M_MIN)
        _raster_near(columns, f, w, state, near)


@kernel
def _owned(w: Window, i: int, j: int) -> tuple[bool, float, float, float]:
    """Whether any point of the cell can belong to the face, and the cell's middle."""
    u, v = cell_centre(w.a, w.b, w.c, w.d, i, j)
    x, y, z = from_plane(w.face, u, v)
    return wall_gap(w.face, x, y, z) > -w.unit, x, y, z


@kernel
def _walk_edges(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray, buffer: float) -> None:
    """Cut all edges into pieces and mark each in the window."""
    is_area = columns.kind[f] == AREA
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        dx, dy = (x1 - x0) * RADIANS, (y1 - y0) * RADIANS
        low = 0.0 if y0 * y1 < 0.0 else min(abs(y0), abs(y1))
        length = math.hypot(dx * math.cos(low * RADIANS), dy)
        count = 1 + int(max(1.6 * length / (PIECE_CELLS * w.unit), abs(dx) / TURN_MAX))
        wall_margin = 6.0 * w.unit + buffer
        px, py, pz = unit_vector(y0, x0)
        for k in range(1, count + 1):
            t = k / count
            qx, qy, qz = unit_vector(y0 + t * (y1 - y0), x0 + t * (x1 - x0))
            if max(wall_gap(w.face, px, py, pz), wall_gap(w.face, qx, qy, qz)) > -wall_margin:
                margin = MARGIN + 0.5 * abs(dx) / count * min(PIECE_CELLS, 1.6 * length / count / w.unit)
                if is_area:
                    _mark_touched(w, state, px, py, pz, qx, qy, qz, margin)
                else:
                    _mark_near(w, near, px, py, pz, qx, qy, qz, buffer)
            px, py, pz = qx, qy, qz


@kernel
def _in_lattice(w: Window, x: float, y: float, z: float) -> tuple[float, float]:
    """A vector's place in the plane, in steps of the lattice."""
    u, v = to_plane(w.face, x, y, z)
    return w.a * u + w.b * v, w.c * u + w.d * v


@kernel
def _mark_touched(
    w: Window, state: IntArray,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, margin: float,
) -> None:  # fmt: skip
    """Mark the hexagons that the straight piece p-q comes near: none of the axes of hexagon and piece parts them."""
    ax, ay = _in_lattice(w, px, py, pz)
    bx, by = _in_lattice(w, qx, qy, qz)
    c, s = 0.5, 0.5 * math.sqrt(3.0)
    dx, dy = bx - ax, by - ay
    size = math.hypot(dx, dy)
    nx, ny = (-dy / size, dx / size) if size > 0.0 else (1.0, 0.0)
    support = ROUND * max(abs(ny), abs(s * nx + c * ny), abs(s * nx - c * ny)) + margin
    offset = nx * ax + ny * ay
    half = 0.5 + margin
    low1, high1 = min(ax, bx) - half, max(ax, bx) + half
    a2, b2 = c * ax + s * ay, c * bx + s * by
    low2, high2 = min(a2, b2) - half, max(a2, b2) + half
    a3, b3 = c * ax - s * ay, c * bx - s * by
    low3, high3 = min(a3, b3) - half, max(a3, b3) + half
    reach = ROUND + margin
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / s))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / s))
    for j in range(j_first, j_last + 1):
        y = j * s
        i_first = max(w.i0, math.ceil(low1 + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.floor(high1 + 0.5 * j))
        for i in range(i_first, i_last + 1):
            x = i - 0.5 * j
            m2, m3 = c * x + s * y, c * x - s * y
            if low2 <= m2 <= high2 and low3 <= m3 <= high3 and abs(nx * x + ny * y - offset) <= support:
                state[(j - w.j0) * w.width + i - w.i0] = BORDER


@kernel
def _fill_rows(columns: Columns, f: int, w: Window, state: IntArray) -> None:
    """The stretches of a row between touched cells are wholly in or wholly out: ask for the middle of one cell each."""
    for r in range(w.height):
        known, inside = False, False
        for k in range(w.width):
            at = r * w.width + k
            if state[at] == BORDER:
                known = False
                continue
            owned, x, y, z = _owned(w, w.i0 + k, w.j0 + r)
            if not owned:
                known = False
                continue
            if not known:
                lat, lng = lat_lng(x, y, z)
                inside, known = covers(columns, f, lat, lng), True
            if inside:
                state[at] = WHOLE


@kernel
def _angle(x0: float, y0: float, z0: float, x1: float, y1: float, z1: float) -> float:
    """The angle between two unit vectors, well within 1e-9 for all that matters here."""
    half = 0.5 * math.sqrt((x0 - x1) ** 2 + (y0 - y1) ** 2 + (z0 - z1) ** 2)
    return 2.0 * math.asin(min(1.0, half))


@kernel
def _raster_disc(columns: Columns, f: int, w: Window, state: IntArray) -> None:
    """A cap on H3's sphere holds the circle, a smaller one is held by it: the ellipsoid is between two spheres."""
    cx, cy, cz = columns.cap[f, 0], columns.cap[f, 1], columns.cap[f, 2]
    outer, inner = columns.size_m[f] / CURVATURE_M_MIN, columns.size_m[f] / CURVATURE_M_MAX
    cell = ROUND * w.unit * (1.0 + MARGIN)
    for r in range(w.height):
        for k in range(w.width):
            owned, x, y, z = _owned(w, w.i0 + k, w.j0 + r)
            if not owned:
                continue
            angle = _angle(x, y, z, cx, cy, cz)
            if angle - cell <= outer:
                at = r * w.width + k
                state[at] = BORDER
                if angle + cell <= inner or (
                    angle <= inner and _corners_within(w, w.i0 + k, w.j0 + r, cx, cy, cz, inner)
                ):
                    state[at] = WHOLE


@kernel
def _corners_within(w: Window, i: int, j: int, cx: float, cy: float, cz: float, reach: float) -> bool:
    """True if the slightly enlarged cell lies in the cap: caps are convex, so its six corners say so."""
    s = 1.0 / (w.a * w.d - w.b * w.c)
    x0, y0 = i - 0.5 * j, j * (0.5 * math.sqrt(3.0))
    for k in range(6):
        turn = (k + 0.5) * (math.pi / 3.0)
        x = x0 + ROUND * (1.0 + MARGIN) * math.cos(turn)
        y = y0 + ROUND * (1.0 + MARGIN) * math.sin(turn)
        u, v = (w.d * x - w.b * y) * s, (w.a * y - w.c * x) * s
        px, py, pz = from_plane(w.face, u, v)
        if _angle(px, py, pz, cx, cy, cz) > reach:
            return False
    return True


@kernel
def _mark_near(
    w: Window, near: FloatArray,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, buffer: float,
) -> None:  # fmt: skip
    """Keep for each cell of the window the least angle from its middle to a piece of the line."""
    ax, ay = _in_lattice(w, px, py, pz)
    bx, by = _in_lattice(w, qx, qy, qz)
    u, v = to_plane(w.face, px, py, pz)
    away = math.atan(math.hypot(u, v)) + PIECE_CELLS * w.unit
    reach = (math.tan(min(1.4, away + buffer)) - math.tan(min(1.3, away))) / w.unit + 2.0
    s = 0.5 * math.sqrt(3.0)
    dx, dy, dz = qx - px, qy - py, qz - pz
    size2 = dx * dx + dy * dy + dz * dz
    j_first = max(w.j0, math.floor((min(ay, by) - reach) / s))
    j_last = min(w.j0 + w.height - 1, math.ceil((max(ay, by) + reach) / s))
    for j in range(j_first, j_last + 1):
        i_first = max(w.i0, math.floor(min(ax, bx) - reach + 0.5 * j))
        i_last = min(w.i0 + w.width - 1, math.ceil(max(ax, bx) + reach + 0.5 * j))
        for i in range(i_first, i_last + 1):
            u, v = cell_centre(w.a, w.b, w.c, w.d, i, j)
            x, y, z = from_plane(w.face, u, v)
            t = 0.0
            if size2 > 0.0:
                t = min(1.0, max(0.0, ((x - px) * dx + (y - py) * dy + (z - pz) * dz) / size2))
            at = (j - w.j0) * w.width + i - w.i0
            near[at] = min(near[at], _angle(x, y, z, px + t * dx, py + t * dy, pz + t * dz))


@kernel
def _raster_near(columns: Columns, f: int, w: Window, state: IntArray, near: FloatArray) -> None:
    """Cells within the buffer of the line: the two spheres of `_raster_disc`, the cell's extent, a piece's bend."""
    outer, inner = columns.size_m[f] / CURVATURE_M_MIN, columns.size_m[f] / CURVATURE_M_MAX
    cell = (ROUND + 0.5 * PIECE_CELLS * TURN_MAX + PIECE_CELLS * PIECE_CELLS * w.unit + MARGIN) * w.unit
    for r in range(w.height):
        for k in range(w.width):
            at = r * w.width + k
            if near[at] - cell <= outer and _owned(w, w.i0 + k, w.j0 + r)[0]:
                state[at] = WHOLE if near[at] + cell <= inner else BORDER


@kernel
def new_scratch(size: int) -> tuple[IntArray, FloatArray]:
    """State and scratch for windows of up to `size` cells."""
    return np.zeros(size, np.int8), np.zeros(size)
