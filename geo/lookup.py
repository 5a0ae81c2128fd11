"""From points to fences: the hot loop.

Owns the reading of records. Must not know how they were made. Per point: its face and place in the gnomonic plane once,
then at each level one cell, one slot, one record.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import in_area, in_disc
from geo.face import face_of, in_face, to_cell, to_plane
from geo.geodesic import A_M, E2
from geo.kernel import kernel
from geo.orient import FILTER, orient
from geo.record import CLIPPED, DISC, FULL
from geo.segment import least_m, segment_m
from geo.tiles import FREE, TILE_CELLS, cell_in_tile, find, tile_key
from geo.trig import sincos_deg


class Tables(NamedTuple):
    """The index as arrays; see `tiles` and `record` for their layout. `ints` and `floats` are views of one arena."""

    lattices: FloatArray
    keys: IntArray
    numbers: IntArray
    slots: IntArray
    ints: IntArray
    floats: FloatArray
    columns: Columns


@kernel
def match(t: Tables, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
    """(offsets int64[n + 1], fences int32[m]): point k is in fences[offsets[k]:offsets[k + 1]], ascending."""
    n = lat_deg.shape[0]
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    out = np.empty(16 + 6 * n, np.int32)
    size, face = 0, 0
    for p in range(n):
        lat, lng = lat_deg[p], lng_deg[p]
        sp, cp = sincos_deg(lat)
        sl, cl = sincos_deg(lng)
        x, y, z = cp * cl, cp * sl, sp
        if not in_face(face, x, y, z):
            face = face_of(x, y, z)
        u, v = to_plane(face, x, y, z)
        row = size
        for level in range(t.lattices.shape[0]):
            i, j = to_cell(t.lattices[level, 0], t.lattices[level, 1], t.lattices[level, 2], t.lattices[level, 3], u, v)
            at = find(t.keys, tile_key(level, face, i, j))
            if t.keys[at] == FREE:
                continue
            word = int(t.slots[int(t.numbers[at]) * TILE_CELLS + cell_in_tile(i, j)])
            if word == 0:
                continue
            whole, border = int(t.ints[2 * word]), int(t.ints[2 * word + 1])
            if size + whole + border > out.shape[0]:
                bigger = np.empty(2 * out.shape[0] + whole + border, np.int32)
                bigger[:size] = out[:size]
                out = bigger
            for k in range(whole):
                size = _put(out, row, size, t.ints[2 * word + 2 + k])
            if border > 0:
                size = _decide(t, word + 1 + (whole + 1) // 2, border, lat, lng, sp, cp, sl, cl, out, row, size)
        offsets[p + 1] = size
    return offsets, out[:size]


@kernel
def _put(out: IntArray, row: int, size: int, fence: int) -> int:
    """Put a fence in its place in the row out[row:size]; returns the new size."""
    k = size
    while k > row and out[k - 1] > fence:
        out[k] = out[k - 1]
        k -= 1
    out[k] = fence
    return size + 1


@kernel
def _decide(
    t: Tables, word: int, border: int, lat: float, lng: float, sp: float, cp: float, sl: float, cl: float,
    out: IntArray, row: int, size: int,
) -> int:  # fmt: skip
    """Ask each border fence of a record, exactly."""
    n = A_M / math.sqrt(1.0 - E2 * sp * sp)
    px, py, pz = n * cp * cl, n * cp * sl, n * (1.0 - E2) * sp
    for _ in range(border):
        f, meta = int(t.ints[2 * word]), int(t.ints[2 * word + 1])
        kind, count = meta & 3, meta >> 4
        word += 1
        if kind == CLIPPED:
            inside = _in_clipped(t.floats, word, count, meta, lng, lat)
            word += 4 * count
        elif kind == DISC:
            d2 = (px - t.floats[word]) ** 2 + (py - t.floats[word + 1]) ** 2 + (pz - t.floats[word + 2]) ** 2
            inside = d2 <= t.floats[word + 3]
            if not inside and d2 <= t.floats[word + 4]:
                inside = in_disc(t.columns, f, lat, lng, px, py, pz)
            word += 5
        elif kind == FULL:
            inside = in_area(t.columns, f, lat, lng)
        else:
            inside = _in_line(t.floats, word, count, t.columns.size_m[f], lat, lng, cp, px, py, pz)
            word += 4 * count
        if inside:
            size = _put(out, row, size, f)
    return size


@kernel
def _in_clipped(floats: FloatArray, word: int, count: int, meta: int, x: float, y: float) -> bool:
    """`cover.in_rings` on the clipped edges: crossings of a ray to the east or the west, or on an edge."""
    odd = (meta >> 2) & 1
    west = bool((meta >> 3) & 1)
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        left, right = (x1 - x0) * (y - y0), (y1 - y0) * (x - x0)
        side = left - right
        spans = (y0 > y) != (y1 > y)
        if abs(side) <= FILTER * (abs(left) + abs(right)):
            if spans:
                side = orient(x0, y0, x1, y1, x, y)
                if side == 0.0:
                    return True
            elif y0 == y1:
                if y0 == y and min(x0, x1) <= x <= max(x0, x1):
                    return True
            elif (x0 == x and y0 == y) or (x1 == x and y1 == y):
                return True
        odd ^= spans & (((side > 0.0) == (y1 > y0)) != west)
    return bool(odd)


@kernel
def _in_line(
    floats: FloatArray, word: int, count: int, buffer_m: float, lat: float, lng: float, cos_lat: float,
    px: float, py: float, pz: float,
) -> bool:  # fmt: skip
    """True if one of a corridor's edges in the record is in reach."""
    for k in range(word, word + 4 * count, 4):
        x0, y0, x1, y1 = floats[k], floats[k + 1], floats[k + 2], floats[k + 3]
        if (
            least_m(lat, lng, cos_lat, x0, y0, x1, y1) <= buffer_m
            and segment_m(lat, lng, px, py, pz, x0, y0, x1, y1) <= buffer_m
        ):
            return True
    return False
