"""From points to fences: the hot loop.

Owns the order of work, and the reading of records. Must not know how they are made. Some hundred points at a time go
through stages: their faces and planes, then their cell, slot and record at the finest resolution in use and, for those
whose tile does not know what coarser cells say, at the next ones, last their fences. What one stage needs of memory is
asked for at once for all of them, by the stage before; done point by point, each would wait alone, four times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import covers, fetch_boxes, fetch_fence
from geo.entry import in_entry
from geo.kernel import inlined, kernel, maker
from geo.memory import fetch, fetch_near, peek, poke
from geo.network import WORDS, sort_few
from geo.project import lattice_cells, planes, unit_vectors
from geo.record import AT_ONCE, FAR, FAR_LINES, FENCE, FENCE_BITS, LINE, STEP
from geo.tiles import CELL_BITS, FREE, OPEN, TILE_CELLS, above_of, cell_in_tile, home, tile_key, tile_of

CHUNK = 256

AHEAD = 8
"""A record is asked into the first cache so many points before its own."""


class Tables(NamedTuple):
    """The index as arrays; see `tiles` and `record` for their layout. `resolutions` are those in use, descending;
    `lattices` are of all there are.

    `numbers` is int32: by row, the number that a fence has for others; empty if they are the same.
    """

    resolutions: IntArray
    lattices: FloatArray
    table: IntArray
    slots: IntArray
    arena: IntArray
    numbers: IntArray
    columns: Columns


class Found(NamedTuple):
    """What was found of each point: [sources, points]. Where records start, and where in their cells the points are."""

    records: IntArray
    places: IntArray


class Further(NamedTuple):
    """Room for the points that must be looked up once more: which they are, and what else belongs to each."""

    points: IntArray
    faces: IntArray
    u: FloatArray
    v: FloatArray
    places: IntArray
    records: IntArray
    above: IntArray


@maker
def match(t: Tables, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
    """(offsets int64[n + 1], fences int32[m]): point k is in fences[offsets[k]:offsets[k + 1]], ascending."""
    n = lat_deg.shape[0]
    most, is_single = min(n, CHUNK), t.resolutions.shape[0] <= 1
    sources = 1 if is_single else 1 + t.resolutions.shape[0]
    x, y, z, u, v = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    i, j, faces, above = np.empty(most), np.empty(most), np.empty(most, np.int64), np.empty(most, np.int64)
    found = Found(np.empty((sources, most), np.int64), np.empty((sources, most), np.int32))
    depth = np.empty(most, np.int64)
    further = _room_for_further(0 if is_single else most)
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    out = np.empty(2 * AT_ONCE + 6 * n + 2 * LINE * most, np.int32)
    unsure, aside = np.empty((0, 2), np.int32), np.empty(WORDS * most, np.int32)
    size, face, finest = 0, 0, t.resolutions[0] if t.resolutions.shape[0] > 0 else 0
    for first in range(0, n, CHUNK):
        lat, lng = lat_deg[first : first + CHUNK], lng_deg[first : first + CHUNK]
        count = lat.shape[0]
        unit_vectors(lat, lng, x, y, z)
        face = planes(x, y, z, count, face, faces, u, v)
        lattice_cells(t.lattices[finest], u, v, count, i, j, found.places[0])
        _find_slots(t.table, finest, faces, i, j, count, t.slots, found.records[0], above)
        room, most_whole = _find_records(t.slots, t.arena, count, found.records[0])
        room += 2 * AT_ONCE
        if not is_single:
            room += _look_further(t, faces, u, v, count, i, j, above, found, depth, further)
        if size + room > out.shape[0]:
            bigger = np.empty(2 * out.shape[0] + room, np.int32)
            bigger[:size] = out[:size]
            out = bigger
        if room > unsure.shape[0]:
            unsure = np.empty((room, 2), np.int32)
        rows = offsets[first : first + count + 1]
        if is_single:
            asked = _gather(t.arena, found, depth, True, count, out, rows, unsure)
        else:
            asked = _gather(t.arena, found, depth, False, count, out, rows, unsure)
        if asked > 0:
            _ask(t.columns, unsure[:asked], lat, lng, out, rows)
        size = int(rows[count])
        if t.numbers.shape[0] > 0:
            for k in range(rows[0], size):
                out[k] = t.numbers[out[k]]
        if not is_single or most_whole > FAR:
            _sort_rows(out, rows, aside)
    return offsets, out[:size]


@kernel
def _find_slots(
    table: IntArray, resolution: int, faces: IntArray, i: FloatArray, j: FloatArray, count: int,
    slots: IntArray, found: IntArray, above: IntArray,
) -> None:  # fmt: skip
    """Fill in where the slot of each point's cell is, or -1, and fetch it; and the slot of what is above, or OPEN."""
    mask = int(table.shape[0]) - 2
    for k in range(count):
        cell_i, cell_j = int(i[k]), int(j[k])
        key = tile_key(resolution, faces[k], cell_i, cell_j)
        at = home(table, key)
        fetch(table, at)
        # what is needed again meanwhile lies where the answers go
        poke(found, k, key)
        poke(above, k, at << CELL_BITS | cell_in_tile(cell_i, cell_j))
    for k in range(count):
        key, at, cell = peek(found, k), peek(above, k) >> CELL_BITS, peek(above, k) & (TILE_CELLS - 1)
        while peek(table, at) != key and peek(table, at) != FREE:
            at = (at + 2) & mask
        is_there, value = peek(table, at) == key, peek(table, at + 1)
        slot = tile_of(value) * TILE_CELLS + cell if is_there else -1
        fetch(slots, max(slot, 0))
        poke(found, k, slot)
        poke(above, k, above_of(value) if is_there else OPEN)


@kernel
def _find_records(slots: IntArray, arena: IntArray, count: int, records: IntArray) -> tuple[int, int]:
    """Turn slots into where their records start (0: none), and fetch them.

    Returns room for all their fences, and how many whole ones one of them has at most, or 0 if none has more than FAR.
    """
    lines, longest = 0, 0
    for k in range(count):
        slot = peek(slots, records[k]) if records[k] >= 0 else 0
        start, more = (slot >> 3) * STEP, slot & 7
        records[k] = start
        # most records have one line or two: nothing to foresee, and the arena's first line is always at hand
        fetch(arena, start)
        fetch(arena, start + LINE if more > 0 else 0)
        for line in range(2, more + 1):
            fetch(arena, start + LINE * line)
        lines += 1 + more
        longest = max(longest, more)
    if longest < FAR_LINES:
        return LINE * lines, 0  # a fence has a word at least, so that nobody waits for the records themselves
    room, most = 0, 0
    for k in range(count):
        whole = peek(arena, records[k])
        room += whole + peek(arena, records[k] + 1)
        most = max(most, whole)
    return room, most


@maker
def _room_for_further(most: int) -> Further:
    return Further(
        np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most), np.empty(most),
        np.empty(most, np.int32), np.empty(most, np.int64), np.empty(most, np.int64),
    )  # fmt: skip


@kernel
def _look_further(
    t: Tables, faces: IntArray, u: FloatArray, v: FloatArray, count: int, i: FloatArray, j: FloatArray,
    above: IntArray, found: Found, depth: IntArray, w: Further,
) -> int:  # fmt: skip
    """Find what coarser cells have for each point: all that is above its tile, or cell by cell where that is OPEN.

    Fills `depth`, how many records each point has, and all of them from the second on; returns how many fences they
    hold. The second is that of what is above the last tile that was looked at.
    """
    left, room = 0, 0
    for k in range(count):
        depth[k] = 2
        poke(w.points, left, k)
        left += above[k] == OPEN
    for n in range(1, t.resolutions.shape[0]):
        for k in range(left):
            w.u[k], w.v[k], w.faces[k] = u[w.points[k]], v[w.points[k]], faces[w.points[k]]
        lattice_cells(t.lattices[t.resolutions[n]], w.u, w.v, left, i, j, w.places)
        _find_slots(t.table, t.resolutions[n], w.faces, i, j, left, t.slots, w.records, w.above)
        room += _find_records(t.slots, t.arena, left, w.records)[0]
        still = 0
        for k in range(left):
            point = w.points[k]
            found.records[1 + n, point], found.places[1 + n, point] = w.records[k], w.places[k]
            depth[point], above[point] = 2 + n, w.above[k]
            poke(w.points, still, point)
            still += w.above[k] == OPEN
        left = still
    for k in range(count):
        slot = above[k] if above[k] != OPEN else 0
        start = (slot >> 3) * STEP
        found.records[1, k] = start
        room += peek(t.arena, start)
    return room


@inlined
def _gather(
    arena: IntArray, found: Found, depth: IntArray, is_single: bool, count: int,
    out: IntArray, rows: IntArray, unsure: IntArray,
) -> int:  # fmt: skip
    """Put each point's fences into `out`, and fill where its row ends: rows[k + 1]; returns how many are unsure.

    Fences that the cell leaves open are put there too, and into `unsure` as (point, fence). Nothing is called from
    here, however seldom: the loop would keep its numbers in memory for it, instead of in the processor.
    """
    asked, size = 0, rows[0]
    for k in range(count):
        fetch_near(arena, found.records[0, min(k + AHEAD, count - 1)])
        for source in range(1 if is_single else depth[k]):
            start = found.records[source, k]
            whole, first = int(peek(arena, start)), start + 2
            _copy(arena, first, whole, out, size)
            at = first + whole
            for _ in range(peek(arena, start + 1)):
                word, meta = int(peek(arena, at)), int(peek(arena, at + 1))
                at += 2 + 2 * ((meta >> 2) & 0x3FFF)
                f, place = word & FENCE, (word >> FENCE_BITS) & FAR
                inside, near = in_entry(arena, at, meta, found.places[source, k])
                if near:
                    inside = True
                    poke(unsure, 2 * asked, k)
                    poke(unsure, 2 * asked + 1, f)
                    asked += 1
                # those behind it go one further if the point is inside, else to where they are: nothing to foresee
                poke(out, size + place, f)
                size += inside
                _copy(arena, first + place, whole - place, out, size + place)
            size += whole
        poke(rows, k + 1, size)
    return asked


@kernel
def _ask(columns: Columns, unsure: IntArray, lat: FloatArray, lng: FloatArray, out: IntArray, rows: IntArray) -> None:
    """Ask the unsure fences themselves, and take out those that do not hold their points."""
    for n in range(unsure.shape[0]):
        fetch_fence(columns, unsure[n, 1])
    for n in range(unsure.shape[0]):
        fetch_boxes(columns, unsure[n, 1])
    gone = 0
    for n in range(unsure.shape[0]):
        k, f = unsure[n]
        if not covers(columns, f, lat[k], lng[k]):
            at = rows[k]
            while out[at] != f:
                at += 1
            unsure[gone, 0], unsure[gone, 1] = k, at - rows[0]
            gone += 1
    for n in range(gone):
        by, is_last = n + 1, n + 1 == gone
        until = int(rows[lat.shape[0]] if is_last else rows[0] + unsure[n + 1, 1])
        _move_left(out, rows[0] + unsure[n, 1] + 1, until, by)
    for n in range(gone):
        last = unsure[n + 1, 0] if n + 1 < gone else lat.shape[0]
        for k in range(unsure[n, 0], last):
            rows[k + 1] -= n + 1


@kernel
def _move_left(out: IntArray, first: int, last: int, by: int) -> None:
    """Move out[first:last] to the left."""
    at = first
    while at + AT_ONCE <= last:
        _copy_few(out, at, out, at - by)
        at += AT_ONCE
    for k in range(at, last):
        out[k - by] = out[k]


@kernel
def _sort_rows(out: IntArray, rows: IntArray, aside: IntArray) -> None:
    """Sort each row, of which long stretches are sorted. Short ones are sorted aside: `aside` has WORDS words a row.

    Else each row would be read where the one before was just written, which it would have to wait for.
    """
    count = rows.shape[0] - 1
    for k in range(count):
        if rows[k + 1] - rows[k] > WORDS:
            sort_tail(out, rows[k], rows[k] + 1, rows[k + 1])
    for k in range(count):
        sort_few(out, rows[k], rows[k + 1] - rows[k], aside, WORDS * k)
    for k in range(count):
        if rows[k + 1] - rows[k] <= WORDS:
            # what is too much is what is there, or is written over by the next row
            _copy_few(aside, WORDS * k, out, rows[k])


@kernel
def _copy(arena: IntArray, at: int, count: int, out: IntArray, to: int) -> None:
    """Copy words by AT_ONCE, and so many at least: what is too much is written over later."""
    _copy_few(arena, at, out, to)
    for n in range(AT_ONCE, count, AT_ONCE):
        _copy_few(arena, at + n, out, to + n)


@kernel
def _copy_few(arena: IntArray, at: int, out: IntArray, to: int) -> None:
    """Copy AT_ONCE words; all are read before one is written, so that they go as one."""
    a, b, c, d = peek(arena, at), peek(arena, at + 1), peek(arena, at + 2), peek(arena, at + 3)
    e, f, g, h = peek(arena, at + 4), peek(arena, at + 5), peek(arena, at + 6), peek(arena, at + 7)
    poke(out, to, a), poke(out, to + 1, b), poke(out, to + 2, c), poke(out, to + 3, d)
    poke(out, to + 4, e), poke(out, to + 5, f), poke(out, to + 6, g), poke(out, to + 7, h)


@kernel
def sort_tail(out: IntArray, row: int, sorted_to: int, size: int) -> None:
    """Sort out[row:size], of which the part up to `sorted_to` is sorted: by insertion, long tails from afar first."""
    gap = 1
    while size - sorted_to > 16 and gap * 9 < size - row:
        gap = 3 * gap + 1
    first = row + gap if gap > 1 else max(sorted_to, row + 1)
    while gap > 0:
        for k in range(first, size):
            fence = out[k]
            at = k
            while at >= row + gap and out[at - gap] > fence:
                out[at] = out[at - gap]
                at -= gap
            out[at] = fence
        gap //= 3
        first = row + gap
