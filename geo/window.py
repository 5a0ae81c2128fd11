"""The part of a face's lattice that a fence may touch.

Owns windows, and what of a window belongs to its face. Must not know shapes, but for the cap that each fence has. Works
in the face's gnomonic plane: there a cell is a regular hexagon of inradius 1/2.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from geo.arrays import FloatArray
from geo.columns import Columns
from geo.face import CORNER, FRAMES, cell_centre, from_plane, to_plane, wall_gap
from geo.kernel import kernel

ROUND = 1.0 / math.sqrt(3.0)
"""The circumradius of a cell."""

ROW = 0.5 * math.sqrt(3.0)
"""From one row of cells to the next."""


class Window(NamedTuple):
    """The part of one face's lattice that a fence may touch.

    `a, b, c, d` is the lattice; rows are j in [j0, j0 + height), columns i in [i0, i0 + width). `inland` says that
    every cell of the window belongs to the face.
    """

    face: int
    inland: bool
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
    gap = wall_gap(face, cx, cy, cz)
    if margin < 1.5 and gap < -math.sin(margin):
        return Window(face, False, a, b, c, d, unit, 0, 0, 0, 0)
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
    # the window's corners are less than 4 times as far from the cap's centre as its rim
    inland = margin < 0.3 and gap > math.sin(4.0 * margin)
    return Window(face, inland, a, b, c, d, unit, i0, j0, max(0, width), max(0, height))


@kernel
def vector_at(w: Window, x: float, y: float) -> tuple[float, float, float]:
    """The unit vector of a place of the lattice; cell (i, j) has its middle at (i - j / 2, j ROW)."""
    s = 1.0 / (w.a * w.d - w.b * w.c)
    return from_plane(w.face, (w.d * x - w.b * y) * s, (w.a * y - w.c * x) * s)


@kernel
def middle(w: Window, i: int, j: int) -> tuple[float, float, float]:
    """The unit vector of a cell's middle."""
    u, v = cell_centre(w.a, w.b, w.c, w.d, i, j)
    return from_plane(w.face, u, v)


@kernel
def is_away(w: Window, x: float, y: float, z: float) -> bool:
    """True if no point of the cell with this middle can belong to the face."""
    return not w.inland and wall_gap(w.face, x, y, z) <= -w.unit


@kernel
def in_lattice(w: Window, x: float, y: float, z: float) -> tuple[float, float]:
    """A vector's place in the plane, in steps of the lattice."""
    u, v = to_plane(w.face, x, y, z)
    return w.a * u + w.b * v, w.c * u + w.d * v
