"""What a cell knows: its record, all that is needed to answer for any of its points.

Owns the layout of records and the clipping of borders to a cell. Must not know how points come in.

A record is a row of 8-byte words, most of them pairs of int32 or float32. The first is (whole fences, border fences).
If there are border fences, a head of HEAD words follows: (circles, clipped areas) among them, the record's origin as
(lng, lat), then (slack, x) and (y, z) of the origin's `ecef`. The ids of the whole fences come next, two a word,
ascending; then the border fences, each kind ascending:

- circles: (id, x), (y, z) of the centre and (near, far), the squared distances surely within and surely beyond;
- clipped areas: (id, odd | west << 1 | count << 2), the edges left by `_clip`, four float32 each;
- others: (id, count), a corridor's edges in reach, float64[count, 4] in degrees; count is WHOLE_FENCE for an area that
  must be asked as a whole: near the poles and the antimeridian, where boxes fail.

Edges and centres are float32 relative to the record's origin, which halves what a lookup reads. `slack` is how far, in
degrees, an end of an edge may be from where it really is: whoever is that near to an edge is decided from the fence
itself, in double and, if need be, without any rounding. So no answer ever rests on a shortened number.

Clipping: a ray from the point goes east or west, whichever needs fewer edges; edges outside the cell's latitudes or
wholly behind are dropped, edges wholly ahead that span the latitudes are always crossed and go into `odd`, all others
stay.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from geo.arrays import FloatArray, IntArray, ShortArray
from geo.columns import AREA, BLOCK, CIRCLE, Columns
from geo.face import FRAMES, cell_centre, from_plane
from geo.geodesic import CURVATURE_M_MAX, ecef
from geo.kernel import kernel
from geo.paint import Painted
from geo.raster import ROUND
from geo.segment import least_m, segment_m
from geo.tiles import SIDE, TILE_CELLS, tile_place
from geo.trig import RADIANS, lat_lng, sincos_deg

WHOLE_FENCE = -1

HEAD = 4
"""Words of a record with border fences, after the first, before its ids."""

BEHIND = 32
"""Words of nothing behind the last record: a lookup touches so many from a record's start, whatever its length."""

SHORTENED = 2.0**-23
"""Twice the share by which a float32 may be off."""

LAT_MAX = 80.0
"""Beyond, cells bend too much for a box made from their middle."""

CORNERS = ((ROUND * 0.5 * math.sqrt(3.0), 0.5 * ROUND), (0.0, ROUND), (-ROUND * 0.5 * math.sqrt(3.0), 0.5 * ROUND))
"""Three corners of a cell on its lattice; the others lie opposite."""

SLOTS_AT_ONCE = 1 << 18
"""Slots written between two reports of progress."""

SEEN = 1 << 14
"""Records without border fences are often the same as an earlier one: so many are remembered."""


def write_records(columns: Columns, painted: Painted, progress: Callable[[float], None]) -> tuple[IntArray, IntArray]:
    """(slots uint32[tiles * 256], arena int64[...]): a slot is its record's first word in the arena, or 0.

    `progress` gets the share of slots that are done now and then.
    """
    slots = np.zeros(painted.tiles * TILE_CELLS, np.uint32)
    starts, fences = _by_slot(painted.slot, painted.fence, painted.entries, slots.size)
    arena: IntArray = np.zeros(4096, np.int64)
    seen = np.zeros(SEEN, np.int64)
    at, used = 0, 1
    while at < slots.size:
        last = min(at + SLOTS_AT_ONCE, slots.size)
        at, used, wanted = _write(
            columns, painted.lattices, painted.tile_keys, starts, fences, slots, at, last, used, arena,
            arena.view(np.int32), arena.view(np.float32), arena.view(np.float64), seen,
        )  # fmt: skip
        progress(at / slots.size)
        if wanted > 0:
            arena = _resized(arena, used, max(wanted, arena.size + arena.size // 2))
    return slots, _resized(arena, used, used + BEHIND)


def _resized(arena: IntArray, used: int, size: int) -> IntArray:
    out = np.zeros(size, np.int64)
    out[:used] = arena[:used]
    return out


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
    slots: IntArray, first: int, last: int, used: int, arena: IntArray, ints: IntArray, shorts: ShortArray,
    floats: FloatArray, seen: IntArray,
) -> tuple[int, int, int]:  # fmt: skip
    """Write the records of slots `first:last` as far as the arena reaches.

    Returns the slot reached, the words used, and the words wanted for the next record, 0 if all is done.
    """
    box = np.empty(4)
    for s in range(first, last):
        a, b = starts[s], starts[s + 1]
        if a == b:
            continue
        room, whole = 2 + HEAD + (b - a), 0
        for k in range(a, b):
            f = fences[k] >> 1
            if fences[k] & 1:
                whole += 1
            else:
                room += 6 + 4 * (columns.span[f, 2] - columns.span[f, 0])
        if used + room > arena.shape[0]:
            return s, used, used + room
        ints[2 * used], ints[2 * used + 1] = whole, b - a - whole
        word = used + 1 if whole == b - a else used + 1 + HEAD
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
            word = _write_borders(columns, fences, a, b, box, radius_m, ints, shorts, floats, used + 1, word)
        slots[s] = used
        used = word
    return last, used, 0


@kernel
def _write_borders(
    columns: Columns, fences: IntArray, a: int, b: int, box: FloatArray, radius_m: float,
    ints: IntArray, shorts: ShortArray, floats: FloatArray, head: int, word: int,
) -> int:  # fmt: skip
    """Write the head and the border fences among `fences[a:b]`, by kind; returns the word after the record."""
    discs, clipped, slack = 0, 0, 0.0
    boxed = not math.isnan(box[0])
    lng, lat = (0.5 * (box[2] + box[3]), 0.5 * (box[0] + box[1])) if boxed else (box[3], box[1])
    # the origin is what is left of the middle of the cell in float32: that is exact again
    shorts[2 * head + 2], shorts[2 * head + 3] = lng, lat
    x, y, z = ecef(lat, lng)
    shorts[2 * head + 5], shorts[2 * head + 6], shorts[2 * head + 7] = x, y, z
    for k in range(a, b):
        f = fences[k] >> 1
        if not fences[k] & 1 and columns.kind[f] == CIRCLE:
            _write_disc(columns, f, ints, shorts, head, word)
            word += 3
            discs += 1
    for k in range(a, b):
        f = fences[k] >> 1
        if not fences[k] & 1 and columns.kind[f] == AREA and boxed:
            word, reach = _clip(columns, f, box, ints, shorts, head, word)
            slack = max(slack, reach)
            clipped += 1
    for k in range(a, b):
        f = fences[k] >> 1
        if fences[k] & 1 or columns.kind[f] == CIRCLE:
            continue
        if columns.kind[f] != AREA:
            word = _clip_line(columns, f, lat, lng, radius_m, ints, floats, word)
        elif not boxed:
            ints[2 * word], ints[2 * word + 1] = f, WHOLE_FENCE
            word += 1
    ints[2 * head], ints[2 * head + 1] = discs, clipped
    # the last term is for the rounding of the differences in double, of numbers up to 360
    shorts[2 * head + 4] = slack * SHORTENED + 1e-12
    return word


@kernel
def _write_disc(columns: Columns, f: int, ints: IntArray, shorts: ShortArray, head: int, word: int) -> None:
    """Write a circle relative to the origin, its two distances moved apart by what float32 takes."""
    ints[2 * word] = f
    most = 0.0
    for c in range(3):
        off = columns.disc[f, 2 + c] - shorts[2 * head + 5 + c]
        shorts[2 * word + 1 + c] = off
        most = max(most, abs(off))
    slack = most * SHORTENED + 1e-7
    near, far = math.sqrt(columns.disc[f, 5]) - slack, math.sqrt(columns.disc[f, 6]) + slack
    shorts[2 * word + 4] = near * near * (1.0 - SHORTENED) if near > 0.0 else -1.0
    shorts[2 * word + 5] = far * far * (1.0 + SHORTENED)


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

    The corners by their first derivatives at the middle; `pad` is for the second, and for the bulge of a cell's sides.
    Where there is none, beyond LAT_MAX and at the antimeridian, `box[0]` is nan, and (box[1], box[3]) the middle.
    """
    a, b, c, d = lattice[0], lattice[1], lattice[2], lattice[3]
    s = 1.0 / (a * d - b * c)
    radius = ROUND * math.sqrt(s)
    u, v = cell_centre(a, b, c, d, i, j)
    x, y, z = from_plane(face, u, v)
    lat, lng = lat_lng(x, y, z)
    level = math.hypot(x, y)
    if abs(lat) > LAT_MAX:
        box[0], box[1], box[3] = math.nan, lat, lng
        return 1.01 * radius * CURVATURE_M_MAX
    m = FRAMES[face]
    shrink = 1.0 / (math.sqrt(1.0 + u * u + v * v) * RADIANS)
    lat_u, lat_v = _to_north(m[0], x, y, z, level) * shrink, _to_north(m[1], x, y, z, level) * shrink
    lng_u = (m[0, 1] * x - m[0, 0] * y) * shrink / (level * level)
    lng_v = (m[1, 1] * x - m[1, 0] * y) * shrink / (level * level)
    high, wide = 0.0, 0.0
    for k in range(3):
        corner_x, corner_y = CORNERS[k]
        du, dv = (d * corner_x - b * corner_y) * s, (a * corner_y - c * corner_x) * s
        high = max(high, abs(lat_u * du + lat_v * dv))
        wide = max(wide, abs(lng_u * du + lng_v * dv))
    pad = 1.02 + 2.0 * radius * (1.0 + abs(z) / level)
    box[0], box[1], box[2], box[3] = lat - pad * high, lat + pad * high, lng - pad * wide, lng + pad * wide
    if wide > 45.0 or box[2] <= -180.0 or box[3] >= 180.0:
        box[0], box[1], box[3] = math.nan, lat, lng
    return 1.01 * radius * CURVATURE_M_MAX


@kernel
def _to_north(way: FloatArray, x: float, y: float, z: float, level: float) -> float:
    """The northward part of a direction at the unit vector (x, y, z), which is `level` from the axis."""
    return float(way[2] * level - (way[0] * x + way[1] * y) * z / level)


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
def _clip(
    columns: Columns, f: int, box: FloatArray, ints: IntArray, shorts: ShortArray, head: int, word: int
) -> tuple[int, float]:
    """Write the edges of an area that its points in `box` need, for the ray that needs fewer.

    Returns the word after them, and how far from the origin they reach, in degrees.
    """
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
    count, odd, reach = _clip_to(columns, f, box, shorts, head, word + 1, west < east)
    ints[2 * word], ints[2 * word + 1] = f, odd | (west < east) << 1 | count << 2
    return word + 1 + 2 * count, reach


@kernel
def _clip_to(
    columns: Columns, f: int, box: FloatArray, shorts: ShortArray, head: int, word: int, west: bool
) -> tuple[int, int, float]:
    """Write the edges kept for one ray: their number, the parity of those always crossed, and how far they reach."""
    first, last = columns.span[f, 0], columns.span[f, 2]
    block = columns.first_block[f]
    lng, lat = float(shorts[2 * head + 2]), float(shorts[2 * head + 3])
    odd, at, reach = 0, 2 * word, 0.0
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
                x0, y0, x1, y1 = x0 - lng, y0 - lat, x1 - lng, y1 - lat
                shorts[at], shorts[at + 1], shorts[at + 2], shorts[at + 3] = x0, y0, x1, y1
                reach = max(reach, abs(x0), abs(y0), abs(x1), abs(y1))
                at += 4
    return (at - 2 * word) // 4, odd, reach


@kernel
def _clip_line(
    columns: Columns, f: int, lat: float, lng: float, radius_m: float, ints: IntArray, floats: FloatArray, word: int
) -> int:
    """Write the edges of a corridor's line that some point of the cell with about this middle may be in reach of."""
    _, cos_lat = sincos_deg(lat)
    px, py, pz = ecef(lat, lng)
    # it is within a cell's radius of the cell's middle: twice the radius reaches all points
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
