"""The border of a fence as straight pieces in the lattice of a face.

Owns how a border is cut: edges, straight in longitude and latitude, bend in the plane of a face; the rim of a circle
bends everywhere. Each piece says how far the true border may be from it. Must not know cells' records. Corridors have
no pieces: see `raster_line`.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import FloatArray
from geo.columns import CIRCLE, Columns
from geo.face import wall_gap
from geo.geodesic import CURVATURE_M_MIN, direct
from geo.kernel import kernel, maker
from geo.trig import RADIANS, unit_vector
from geo.window import Window, in_lattice

PIECE_CELLS = 8.0
"""No piece is longer: what is near the face is then told from what is not by its ends."""

BEND_MAX = 1.0 / 1024.0
"""So far, in cells, an edge may bend away from a piece of it."""

SAGITTA_MAX = 1.0 / 256.0
"""So far the rim of a circle may bulge beyond a piece of it."""

DIRECT_M = 2e-3
"""`geodesic.direct` is right to this, and more."""

STRETCH = 2.0
"""A step on the sphere is less than so many times as long in the plane of a face, as far as its cells reach."""


@maker
def pieces_of(columns: Columns, f: int, w: Window) -> tuple[FloatArray, FloatArray, int]:
    """(ends float64[.., 4] of (x0, y0, x1, y1), bends float64[..], count) of the pieces near the window's face.

    In the order of the border: where a piece starts at the very end of the one before, the border goes on.
    """
    if columns.kind[f] == CIRCLE:
        return _rim_pieces(columns, f, w)
    return _edge_pieces(columns, f, w)


@maker
def _edge_pieces(columns: Columns, f: int, w: Window) -> tuple[FloatArray, FloatArray, int]:
    first, last = columns.span[f, 0], columns.span[f, 2]
    ends, bends, n = np.empty((2 * (last - first) + 8, 4)), np.empty(2 * (last - first) + 8), 0
    for e in range(first, last):
        x0, y0, x1, y1 = columns.edges[e]
        dx, dy = (x1 - x0) * RADIANS, (y1 - y0) * RADIANS
        low = 0.0 if y0 * y1 < 0.0 else min(abs(y0), abs(y1))
        length = STRETCH * math.hypot(dx * math.cos(low * RADIANS), dy) / w.unit
        # a piece bends away by less than length x turn / 8; a fourfold margin is for the face's rim
        count = 1 + int(max(length / PIECE_CELLS, math.sqrt(0.5 * abs(dx) * length / BEND_MAX)))
        bend = 0.5 * abs(dx) * length / (count * count)
        if n + count > bends.shape[0]:
            ends, bends = _longer(ends, bends, n, n + count)
        px, py, pz = unit_vector(y0, x0)
        for k in range(1, count + 1):
            t = k / count
            qx, qy, qz = unit_vector(y0 + t * (y1 - y0), x0 + t * (x1 - x0)) if k < count else unit_vector(y1, x1)
            n += _put(w, ends, bends, n, px, py, pz, qx, qy, qz, bend)
            px, py, pz = qx, qy, qz
    return ends, bends, n


@maker
def _rim_pieces(columns: Columns, f: int, w: Window) -> tuple[FloatArray, FloatArray, int]:
    """Chords of a circle's rim. Great circles are straight in the plane, so that only the rim itself bends."""
    radius_m = columns.size_m[f]
    radius = STRETCH * radius_m / CURVATURE_M_MIN / w.unit
    count = max(8, math.ceil(math.pi * math.sqrt(0.5 * radius / SAGITTA_MAX)))
    bend = radius * (1.0 - math.cos(math.pi / count)) + STRETCH * DIRECT_M / CURVATURE_M_MIN / w.unit
    ends, bends, n = np.empty((count, 4)), np.empty(count), 0
    lat, lng = direct(columns.disc[f, 0], columns.disc[f, 1], 0.0, radius_m)
    first_x, first_y, first_z = unit_vector(lat, lng)
    px, py, pz = first_x, first_y, first_z
    for k in range(1, count + 1):
        qx, qy, qz = first_x, first_y, first_z
        if k < count:
            lat, lng = direct(columns.disc[f, 0], columns.disc[f, 1], 360.0 * k / count, radius_m)
            qx, qy, qz = unit_vector(lat, lng)
        n += _put(w, ends, bends, n, px, py, pz, qx, qy, qz, bend)
        px, py, pz = qx, qy, qz
    return ends, bends, n


@kernel
def _put(
    w: Window, ends: FloatArray, bends: FloatArray, n: int,
    px: float, py: float, pz: float, qx: float, qy: float, qz: float, bend: float,
) -> int:  # fmt: skip
    """Write piece p-q at `n` if it is near the face; returns how many were written."""
    if not w.inland:
        margin = -(PIECE_CELLS + 4.0) * w.unit
        if wall_gap(w.face, px, py, pz) < margin and wall_gap(w.face, qx, qy, qz) < margin:
            return 0
    ends[n, 0], ends[n, 1] = in_lattice(w, px, py, pz)
    ends[n, 2], ends[n, 3] = in_lattice(w, qx, qy, qz)
    bends[n] = bend
    return 1


@maker
def _longer(ends: FloatArray, bends: FloatArray, n: int, size: int) -> tuple[FloatArray, FloatArray]:
    more_ends, more_bends = np.empty((2 * size, 4)), np.empty(2 * size)
    more_ends[:n], more_bends[:n] = ends[:n], bends[:n]
    return more_ends, more_bends
