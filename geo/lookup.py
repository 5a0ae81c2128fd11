"""From points to fences: the hot loop.

Owns the order of work, and the reading of records. Must not know how they are made. Some hundred points at a time go
through stages: their faces and planes, then at each level their cell, slot and record, last their fences. What one
stage needs of memory is asked for at once for all of them, by the stage before; done point by point, each would wait
alone, four times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import covers
from geo.entry import in_entry
from geo.kernel import inlined, kernel, maker
from geo.memory import fetch, fetch_near, peek, poke
from geo.project import lattice_cells, planes, unit_vectors
from geo.record import LINE, STEP
from geo.tiles import TILE_CELLS, cell_in_tile, find, home, tile_key

CHUNK = 1024

AHEAD = 8
"""A record is asked into the first cache so many points before its own."""

AT_ONCE = 8
"""Whole fences are copied by so many; what is too much is written over."""

LAST = np.int32(0x7FFFFFFF)
"""Behind every fence."""


class Tables(NamedTuple):
    """The index as arrays; see `tiles` and `record` for their layout. `halves` is the arena as int16.

    `numbers` is int32: by row, the number that a fence has for others; empty if they are the same.
    """

    lattices: FloatArray
    table: IntArray
    slots: IntArray
    arena: IntArray
    halves: IntArray
    numbers: IntArray
    columns: Columns


@maker
def match(t: Tables, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
    """(offsets int64[n + 1], fences int32[m]): point k is in fences[offsets[k]:offsets[k + 1]], ascending."""
    n = lat_deg.shape[0]
    levels = t.lattices.shape[0]
    most = min(n, CHUNK)
    x, y, z, u, v = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    i, j, faces = np.empty(most), np.empty(most), np.empty(most, np.int64)
    records = np.empty((levels, most), np.int64)
    cell_x, cell_y = np.empty((levels, most)), np.empty((levels, most))
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    out = np.empty(8 * AT_ONCE + 6 * n, np.int32)
    size, face = 0, 0
    for first in range(0, n, CHUNK):
        lat, lng = lat_deg[first : first + CHUNK], lng_deg[first : first + CHUNK]
        count = lat.shape[0]
        unit_vectors(lat, lng, x, y, z)
        face = planes(x, y, z, count, face, faces, u, v)
        room = 2 * AT_ONCE
        for level in range(levels):
            lattice_cells(t.lattices[level], u, v, count, i, j, cell_x[level], cell_y[level])
            _find_slots(t.table, level, faces, i, j, count, records[level])
            room += _find_records(t.slots, t.arena, count, records[level])
        if size + room > out.shape[0]:
            bigger = np.empty(2 * out.shape[0] + room, np.int32)
            bigger[:size] = out[:size]
            out = bigger
        size = _gather(t, records, cell_x, cell_y, lat, lng, out, size, offsets[first + 1 :])
    return offsets, out[:size]


@kernel
def _find_slots(
    table: IntArray, level: int, faces: IntArray, i: FloatArray, j: FloatArray, count: int, slots: IntArray
) -> None:
    """Fill the slot of each point's cell at a level, or -1."""
    for k in range(count):
        fetch(table, home(table, tile_key(level, faces[k], int(i[k]), int(j[k]))))
    for k in range(count):
        cell_i, cell_j = int(i[k]), int(j[k])
        key = tile_key(level, faces[k], cell_i, cell_j)
        at = find(table, key)
        slots[k] = table[at + 1] * TILE_CELLS + cell_in_tile(cell_i, cell_j) if table[at] == key else -1


@kernel
def _find_records(slots: IntArray, arena: IntArray, count: int, records: IntArray) -> int:
    """Turn slots into where their records start (0: none), and fetch them; returns how many fences they hold in all."""
    for k in range(count):
        fetch(slots, max(records[k], 0))
    for k in range(count):
        slot = peek(slots, records[k]) if records[k] >= 0 else 0
        start = (slot >> 3) * STEP
        records[k] = start
        for line in range((slot & 7) + 1):
            fetch(arena, start + LINE * line)
    room = 0
    for k in range(count):
        room += peek(arena, records[k]) + peek(arena, records[k] + 1)
    return room


@inlined
def _gather(
    t: Tables, records: IntArray, cell_x: FloatArray, cell_y: FloatArray, lat: FloatArray, lng: FloatArray,
    out: IntArray, size: int, ends: IntArray,
) -> int:  # fmt: skip
    """Put each point's fences into `out`, ascending, and fill where its row ends; returns the new size."""
    renumbered = t.numbers.shape[0] > 0
    last = lat.shape[0] - 1
    for k in range(lat.shape[0]):
        row = size
        sorted_to = row
        for level in range(records.shape[0]):
            fetch_near(t.arena, records[level, min(k + AHEAD, last)])
            start = records[level, k]
            whole = int(peek(t.arena, start))
            at = start + 2
            _copy(t.arena, at, out, size)
            for n in range(AT_ONCE, whole, AT_ONCE):
                _copy(t.arena, at + n, out, size + n)
            if size == row:
                sorted_to = row + whole
            size += whole
            at += whole
            for _ in range(peek(t.arena, start + 1)):
                f, meta = peek(t.arena, at), int(peek(t.arena, at + 1))
                inside, unsure = in_entry(t.halves, 2 * at + 4, meta, cell_x[level, k], cell_y[level, k])
                if unsure:
                    inside = covers(t.columns, f, lat[k], lng[k])
                poke(out, size, f)
                size += inside
                at += 2 + 2 * ((meta >> 2) & 0x3FFF)
        if renumbered:
            for n in range(row, size):
                poke(out, n, peek(t.numbers, peek(out, n)))
        if sorted_to < size and row + 1 < size:
            if size - row <= AT_ONCE:
                _sort_few(out, row, size - row)
            else:
                sort_tail(out, row, sorted_to, size)
        ends[k] = size
    return size


@kernel
def _copy(arena: IntArray, at: int, out: IntArray, to: int) -> None:
    """Copy AT_ONCE words; all are read before one is written, so that they go as one."""
    a, b, c, d = peek(arena, at), peek(arena, at + 1), peek(arena, at + 2), peek(arena, at + 3)
    e, f, g, h = peek(arena, at + 4), peek(arena, at + 5), peek(arena, at + 6), peek(arena, at + 7)
    poke(out, to, a), poke(out, to + 1, b), poke(out, to + 2, c), poke(out, to + 3, d)
    poke(out, to + 4, e), poke(out, to + 5, f), poke(out, to + 6, g), poke(out, to + 7, h)


@kernel
def _sort_few(out: IntArray, row: int, count: int) -> None:
    """Sort 2 to AT_ONCE words from `row` on: Batcher's network, in which there is nothing to foresee wrongly."""
    a, b, c, d = peek(out, row), peek(out, row + 1), peek(out, row + 2), peek(out, row + 3)
    e, f, g, h = peek(out, row + 4), peek(out, row + 5), peek(out, row + 6), peek(out, row + 7)
    c, d = c if count > 2 else LAST, d if count > 3 else LAST
    e, f = e if count > 4 else LAST, f if count > 5 else LAST
    g, h = g if count > 6 else LAST, h if count > 7 else LAST
    a, b, c, d = min(a, b), max(a, b), min(c, d), max(c, d)
    e, f, g, h = min(e, f), max(e, f), min(g, h), max(g, h)
    a, c, b, d = min(a, c), max(a, c), min(b, d), max(b, d)
    e, g, f, h = min(e, g), max(e, g), min(f, h), max(f, h)
    b, c, f, g = min(b, c), max(b, c), min(f, g), max(f, g)
    a, e, b, f = min(a, e), max(a, e), min(b, f), max(b, f)
    c, g, d, h = min(c, g), max(c, g), min(d, h), max(d, h)
    c, e, d, f = min(c, e), max(c, e), min(d, f), max(d, f)
    b, c, d, e, f, g = min(b, c), max(b, c), min(d, e), max(d, e), min(f, g), max(f, g)
    poke(out, row, a), poke(out, row + 1, b), poke(out, row + 2, c), poke(out, row + 3, d)
    poke(out, row + 4, e), poke(out, row + 5, f), poke(out, row + 6, g), poke(out, row + 7, h)


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
