"""What a cell knows: its record, all that is needed to answer for any of its points.

Owns the layout of records and the clipping of borders to a cell. Must not know how points come in.

A record is a row of 8-byte words, most of them pairs of int32. The first is (whole fences, border fences); if there are
border fences, the second is (circles, clipped areas) among them. The ids of the whole fences follow, two a word,
ascending. Then the border fences, each kind ascending:

- circles: (id, 0), the centre as `ecef` and the squares of `chord_m_bounds`, float64[5];
- clipped areas: (id, odd | west << 1 | count << 2), the edges left by `_clip`, float64[count, 4] in degrees;
- others: (id, count), a corridor's edges in reach, float64[count, 4]; count is WHOLE_FENCE for an area that must be
  asked as a whole: near the poles and the antimeridian, where boxes fail.

Clipping keeps every answer the same to the bit, since no edge is ever altered: a ray from the point goes east or west,
whichever needs fewer edges; edges outside the cell's latitudes or wholly behind are dropped, edges wholly ahead
that span the latitudes are always crossed and go into `odd`, all others stay as they are.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import AREA, BLOCK, CIRCLE, Columns
from geo.face import cell_centre, from_plane
from geo.geodesic import CURVATURE_M_MAX, ecef
from geo.kernel import kernel
from geo.paint import Painted
from geo.raster import ROUND
from geo.segment import least_m, segment_m
from geo.tiles import SIDE, TILE_CELLS, tile_place
from geo.trig import lat_lng, sincos_deg

WHOLE_FENCE = -1

LAT_MAX = 80.0
"""Beyond, edges of cells bulge too far from their corners' box."""

SEEN = 1 << 14
"""Records without border fences are often the same as an earlier one: so many are remembered."""


def write_records(columns: Columns, painted: Painted) -> tuple[IntArray, IntArray]:
    """(slots uint32[tiles * 256], arena int64[...]): a slot is its record's first word in the arena, or 0."""
    slots = np.zeros(painted.tiles * TILE_CELLS, np.uint32)
    starts, fences = _by_slot(painted.slot, painted.fence, painted.entries, slots.size)
    arena = np.zeros(4096, np.int64)
    seen = np.zeros(SEEN, np.int64)
    at, used = 0, 1
    while at < slots.size:
        at, used, wanted = _write(
            columns, painted.lattices, painted.tile_keys, starts, fences, slots, at, used,
            arena, arena.view(np.int32), arena.view(np.float64), seen,
        )  # fmt: skip
        if at < slots.size:
            bigger = np.zeros(max(wanted, arena.size + arena.size // 2), np.int64)
            bigger[:used] = arena[:used]
            arena = bigger
    # a line more than used: lookups touch what may lie behind the last record
    return slots, arena[: used + 64].copy()


@kernel
def _by_slot(slot: IntArray, fence: IntArray, entries: int, slots: int) -> tuple[IntArray, IntArray]:
    """Sort the entries by slot, keeping their order within: counting sort."""
    starts = np.zeros(slots + 1, np.int64)
    for k in range(entries):
        starts[slot[k] + 1] += 1
    for s in range(slots):
        starts[s + 1] += starts[s]
    fences = np.empty(entries, np.int32)
    for k in range(entries):
        s = slot[k]
        fences[starts[s]] = fence[k]
        starts[s] += 1
    for s in range(slots, 0, -1):
        starts[s] = starts[s - 1]
    starts[0] = 0
    return starts, fences


@kernel
def _write(
    columns: Columns, lattices: FloatArray, tile_keys: IntArray, starts: IntArray, fences: IntArray,
    slots: IntArray, first: int, used: int, arena: IntArray, ints: IntArray, floats: FloatArray, seen: IntArray,
) -> tuple[int, int, int]:  # fmt: skip
    """Write the records from slot `first` on as far as the arena reaches: (slot reached, words used, words wanted)."""
    box = np.empty(4)
    for s in range(first, slots.shape[0]):
        a, b = starts[s], starts[s + 1]
        if a == b:
            continue
        room, whole = 3 + (b - a), 0
        for k in range(a, b):
            f = fences[k] >> 1
            if fences[k] & 1:
                whole += 1
            else:
                room += 6 + 4 * (columns.span[f, 2] - columns.span[f, 0])
        if used + room > arena.shape[0]:
            return s, used, used + room
        ints[2 * used], ints[2 * used + 1] = whole, b - a - whole
        word = used + 1 if whole == b - a else used + 2
        at = 2 * word
        for k in range(a, b):
            if fences[k] & 1:
                ints[at] = fences[k] >> 1
                at += 1
        if whole & 1:
            ints[at] = 0
            at += 1
        word = at // 2
        if whole == b - a:
            same = _seen_before(ints, used, word, seen)
            if same != 0:
                slots[s] = same
                continue
        else:
            level, face, i, j = tile_place(tile_keys[s // TILE_CELLS])
            i, j = i + (s % TILE_CELLS) // SIDE, j + s % SIDE
            radius_m = _cell_box(lattices[level], face, i, j, box)
            word = _write_borders(columns, fences, a, b, box, radius_m, ints, floats, used, word)
        slots[s] = used
        used = word
    return slots.shape[0], used, 0


@kernel
def _write_borders(
    columns: Columns, fences: IntArray, a: int, b: int, box: FloatArray, radius_m: float,
    ints: IntArray, floats: FloatArray, head: int, word: int,
) -> int:  # fmt: skip
    """Write the border fences among `fences[a:b]`, by kind; returns the word after the record."""
    discs, clipped = 0, 0
    boxed = not math.isnan(box[0])
    for k in range(a, b):
        f = fences[k] >> 1
        if not fences[k] & 1 and columns.kind[f] == CIRCLE:
            ints[2 * word], ints[2 * word + 1] = f, 0
            for c in range(5):
                floats[word + 1 + c] = columns.disc[f, 2 + c]
            word += 6
            discs += 1
    for k in range(a, b):
        f = fences[k] >> 1
        if not fences[k] & 1 and columns.kind[f] == AREA and boxed:
            word = _clip(columns, f, box, ints, floats, word)
            clipped += 1
    for k in range(a, b):
        f = fences[k] >> 1
        if fences[k] & 1 or columns.kind[f] == CIRCLE:
            continue
        if columns.kind[f] != AREA:
            word = _clip_line(columns, f, box, radius_m, ints, floats, word)
        elif not boxed:
            ints[2 * word], ints[2 * word + 1] = f, WHOLE_FENCE
            word += 1
    ints[2 * head + 2], ints[2 * head + 3] = discs, clipped
    return word


@kernel
def _seen_before(ints: IntArray, used: int, end: int, seen: IntArray) -> int:
    """The place of an equal record without border fences, or 0: then this one is remembered."""
    h = np.uint64(0)
    for k in range(2 * used, 2 * end):
        h = (h ^ np.uint64(ints[k])) * np.uint64(0x9E3779B97F4A7C15)
    at = int(np.int64(h >> np.uint64(40))) % SEEN
    old = int(seen[at])
    if old != 0:
        same = True
        for k in range(2 * (end - used)):
            same = same and ints[2 * old + k] == ints[2 * used + k]
        if same:
            return old
    seen[at] = used
    return 0


@kernel
def _cell_box(lattice: FloatArray, face: int, i: int, j: int, box: FloatArray) -> float:
    """Fill `box` with (lat0, lat1, lng0, lng1) that holds every point of the cell; returns the cell's radius in metres.

    `box[0]` is nan where no such box is: beyond LAT_MAX and at the antimeridian.
    """
    a, b, c, d = lattice[0], lattice[1], lattice[2], lattice[3]
    s = 1.0 / (a * d - b * c)
    x0, y0 = i - 0.5 * j, j * (0.5 * math.sqrt(3.0))
    box[0], box[1], box[2], box[3] = math.inf, -math.inf, math.inf, -math.inf
    for k in range(6):
        turn = (k + 0.5) * (math.pi / 3.0)
        x, y = x0 + ROUND * math.cos(turn), y0 + ROUND * math.sin(turn)
        px, py, pz = from_plane(face, (d * x - b * y) * s, (a * y - c * x) * s)
        lat, lng = lat_lng(px, py, pz)
        box[0], box[1] = min(box[0], lat), max(box[1], lat)
        box[2], box[3] = min(box[2], lng), max(box[3], lng)
    # a great circle between corners bulges by less than 1 % of the box up to LAT_MAX, at resolution 3 and finer
    pad = 0.05 * max(box[1] - box[0], 0.0)
    wide = 0.05 * (box[3] - box[2])
    box[0], box[1], box[2], box[3] = box[0] - pad, box[1] + pad, box[2] - wide, box[3] + wide
    if box[3] - box[2] > 90.0 or box[2] <= -180.0 or box[3] >= 180.0 or max(-box[0], box[1]) > LAT_MAX:
        box[0] = math.nan
        u, v = cell_centre(a, b, c, d, i, j)
        px, py, pz = from_plane(face, u, v)
        box[1], box[3] = lat_lng(px, py, pz)
    return 1.01 * ROUND * math.sqrt(s) * CURVATURE_M_MAX


@kernel
def _fate(x0: float, y0: float, x1: float, y1: float, box: FloatArray) -> tuple[int, int]:
    """What becomes of an edge for a ray (east, west): 0 dropped, 1 always crossed, 2 kept."""
    low, high = min(y0, y1), max(y0, y1)
    if high < box[0] or low > box[1]:
        return 0, 0
    spans = low < box[0] and high > box[1]
    if max(x0, x1) < box[2]:
        return 0, 1 if spans else 2
    if min(x0, x1) > box[3]:
        return 1 if spans else 2, 0
    return 2, 2


@kernel
def _clip(columns: Columns, f: int, box: FloatArray, ints: IntArray, floats: FloatArray, word: int) -> int:
    """Write the edges of an area that its points in `box` need, for the ray that needs fewer."""
    first, last = columns.span[f, 0], columns.span[f, 2]
    block = columns.first_block[f]
    east, west = 0, 0
    for start in range(first, last, BLOCK):
        around = columns.boxes[block]
        block += 1
        if around[3] < box[0] or around[1] > box[1]:
            continue
        for e in range(start, min(start + BLOCK, last)):
            x0, y0, x1, y1 = columns.edges[e]
            to_east, to_west = _fate(x0, y0, x1, y1, box)
            east += to_east == 2
            west += to_west == 2
    count, odd = _clip_to(columns, f, box, floats, word + 1, west < east)
    ints[2 * word], ints[2 * word + 1] = f, odd | (west < east) << 1 | count << 2
    return word + 1 + 4 * count


@kernel
def _clip_to(columns: Columns, f: int, box: FloatArray, floats: FloatArray, word: int, west: bool) -> tuple[int, int]:
    """Write the edges kept for one ray; returns their number, and the parity of those always crossed."""
    first, last = columns.span[f, 0], columns.span[f, 2]
    block = columns.first_block[f]
    odd, count = 0, 0
    for start in range(first, last, BLOCK):
        around = columns.boxes[block]
        block += 1
        if around[3] < box[0] or around[1] > box[1]:
            continue
        for e in range(start, min(start + BLOCK, last)):
            x0, y0, x1, y1 = columns.edges[e]
            to_east, to_west = _fate(x0, y0, x1, y1, box)
            fate = to_west if west else to_east
            odd ^= fate == 1
            if fate == 2:
                at = word + 4 * count
                floats[at], floats[at + 1], floats[at + 2], floats[at + 3] = x0, y0, x1, y1
                count += 1
    return count, odd


@kernel
def _clip_line(
    columns: Columns, f: int, box: FloatArray, radius_m: float, ints: IntArray, floats: FloatArray, word: int
) -> int:
    """Write the edges of a corridor's line that some point of the cell may be in reach of."""
    lat = box[1] if math.isnan(box[0]) else 0.5 * (box[0] + box[1])
    lng = box[3] if math.isnan(box[0]) else 0.5 * (box[2] + box[3])
    _, cos_lat = sincos_deg(lat)
    px, py, pz = ecef(lat, lng)
    # the box's middle is within a cell's radius of the cell's: twice the radius reaches all of its points
    reach_m = columns.size_m[f] + 2.0 * radius_m + 1.0
    count = 0
    for e in range(columns.span[f, 0], columns.span[f, 2]):
        x0, y0, x1, y1 = columns.edges[e]
        if (
            least_m(lat, lng, cos_lat, x0, y0, x1, y1) <= reach_m
            and segment_m(lat, lng, px, py, pz, x0, y0, x1, y1) <= reach_m
        ):
            at = word + 1 + 4 * count
            floats[at], floats[at + 1], floats[at + 2], floats[at + 3] = x0, y0, x1, y1
            count += 1
    ints[2 * word], ints[2 * word + 1] = f, count
    return word + 1 + 4 * count
