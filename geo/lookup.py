"""From points to fences: the hot loop.

Owns the order of work, and the reading of records. Must not know how they are made. Some hundred points at a time go
through stages: their faces and planes, then at each level their cell, slot and record, last their fences. What waits
for memory in one stage waits for many points at once; done point by point, each would wait alone, four times.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.cover import covers
from geo.entry import in_entry
from geo.kernel import inlined, kernel, maker
from geo.project import lattice_cells, planes, unit_vectors
from geo.record import LINE, STEP
from geo.tiles import TILE_CELLS, cell_in_tile, find, tile_key

CHUNK = 1024


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
    out = np.empty(64 + 6 * n, np.int32)
    size, face = 0, 0
    for first in range(0, n, CHUNK):
        lat, lng = lat_deg[first : first + CHUNK], lng_deg[first : first + CHUNK]
        count = lat.shape[0]
        unit_vectors(lat, lng, x, y, z)
        face = planes(x, y, z, count, face, faces, u, v)
        room = 8
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
        cell_i, cell_j = int(i[k]), int(j[k])
        key = tile_key(level, faces[k], cell_i, cell_j)
        at = find(table, key)
        slots[k] = table[at + 1] * TILE_CELLS + cell_in_tile(cell_i, cell_j) if table[at] == key else -1


@kernel
def _find_records(slots: IntArray, arena: IntArray, count: int, records: IntArray) -> int:
    """Turn slots into where their records start (0: none); returns how many fences they hold in all.

    The lines of each record are touched, so that they are at hand when it is read.
    """
    for k in range(count):
        records[k] = slots[records[k]] if records[k] >= 0 else 0
    room, touched = 0, 0
    for k in range(count):
        start, more = (records[k] >> 3) * STEP, records[k] & 7
        records[k] = start
        room += arena[start] + arena[start + 1]
        touched ^= arena[start + LINE * min(more, 1)]
        for line in range(2, more + 1):
            touched ^= arena[start + LINE * line]
    # a value that cannot be, so that the touching is not thought useless
    return room + (touched == 0x7FFFFFFFFFFFFFFF)


@inlined
def _gather(
    t: Tables, records: IntArray, cell_x: FloatArray, cell_y: FloatArray, lat: FloatArray, lng: FloatArray,
    out: IntArray, size: int, ends: IntArray,
) -> int:  # fmt: skip
    """Put each point's fences into `out`, ascending, and fill where its row ends; returns the new size."""
    renumbered = t.numbers.shape[0] > 0
    for k in range(lat.shape[0]):
        row = size
        sorted_to = row
        for level in range(records.shape[0]):
            start = records[level, k]
            if start == 0:
                continue
            whole = int(t.arena[start])
            at = start + 2
            # by fours: what is one too many is written over
            for n in range(0, whole, 4):
                out[size + n], out[size + n + 1] = t.arena[at + n], t.arena[at + n + 1]
                out[size + n + 2], out[size + n + 3] = t.arena[at + n + 2], t.arena[at + n + 3]
            if size == row:
                sorted_to = row + whole
            size += whole
            at += whole
            for _ in range(t.arena[start + 1]):
                f, meta = t.arena[at], int(t.arena[at + 1])
                inside, unsure = in_entry(t.halves, 2 * at + 4, meta, cell_x[level, k], cell_y[level, k])
                if unsure:
                    inside = covers(t.columns, f, lat[k], lng[k])
                out[size] = f
                size += inside
                at += 2 + 2 * ((meta >> 2) & 0x3FFF)
        if renumbered:
            for n in range(row, size):
                out[n] = t.numbers[out[n]]
        if sorted_to < size and row + 1 < size:
            sort_tail(out, row, sorted_to, size)
        ends[k] = size
    return size


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
