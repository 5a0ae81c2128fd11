"""From points to fences: the hot loop.

Owns the order of work. Must not know how records are made or read. A thousand points at a time go through stages: their
faces and planes, then at each level their cell, slot and record, last their fences. What waits for memory in one stage
waits for many points at once; done point by point, each would wait alone, four times.
"""

from __future__ import annotations

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.decide import Tables, decide, sort_tail
from geo.kernel import inlined, kernel
from geo.project import lattice_cells, planes, unit_vectors
from geo.record import HEAD
from geo.tiles import TILE_CELLS, cell_in_tile, find, tile_key

CHUNK = 1024


@kernel
def match(t: Tables, lat_deg: FloatArray, lng_deg: FloatArray) -> tuple[IntArray, IntArray]:
    """(offsets int64[n + 1], fences int32[m]): point k is in fences[offsets[k]:offsets[k + 1]], ascending."""
    n = lat_deg.shape[0]
    levels = t.lattices.shape[0]
    most = min(n, CHUNK)
    x, y, z, u, v = np.empty(most), np.empty(most), np.empty(most), np.empty(most), np.empty(most)
    i, j, faces = np.empty(most), np.empty(most), np.empty(most, np.int64)
    words = np.empty((levels, most), np.int64)
    offsets = np.empty(n + 1, np.int64)
    offsets[0] = 0
    out = np.empty(64 + 6 * n, np.int32)
    size, face = 0, 0
    for first in range(0, n, CHUNK):
        lat, lng = lat_deg[first : first + CHUNK], lng_deg[first : first + CHUNK]
        count = lat.shape[0]
        unit_vectors(lat, lng, x, y, z)
        face = planes(x, y, z, count, face, faces, u, v)
        room = 0
        for level in range(levels):
            lattice_cells(t.lattices[level], u, v, count, i, j)
            _find_slots(t.table, level, faces, i, j, count, words[level])
            room += _find_records(t.slots, t.arena, t.ints, count, words[level])
        if size + room > out.shape[0]:
            bigger = np.empty(2 * out.shape[0] + room, np.int32)
            bigger[:size] = out[:size]
            out = bigger
        size = _gather(t, words, lat, lng, x, y, z, out, size, offsets[first + 1 :])
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
def _find_records(slots: IntArray, arena: IntArray, ints: IntArray, count: int, words: IntArray) -> int:
    """Turn slots into their records' words (0: none); returns how many fences they hold in all.

    The first lines of each record are touched, so that they are at hand when it is read.
    """
    for k in range(count):
        words[k] = slots[words[k]] if words[k] >= 0 else 0
    room, touched = 0, 0
    for k in range(count):
        word = words[k]
        room += ints[2 * word] + ints[2 * word + 1]
        touched ^= arena[word + 7]
    for k in range(count):
        word = words[k]
        if ints[2 * word + 1] > 0:
            touched ^= arena[word + 15]
            touched ^= arena[word + 23]
            touched ^= arena[word + 31]
    # a value that cannot be, so that the touching is not thought useless
    return room + (touched == -0x7FFFFFFFFFFFFFFF)


@inlined
def _gather(
    t: Tables, words: IntArray, lat: FloatArray, lng: FloatArray, x: FloatArray, y: FloatArray, z: FloatArray,
    out: IntArray, size: int, ends: IntArray,
) -> int:  # fmt: skip
    """Put each point's fences into `out`, ascending, and fill where its row ends; returns the new size."""
    for k in range(lat.shape[0]):
        row = size
        sorted_to = row
        for level in range(words.shape[0]):
            word = words[level, k]
            if word == 0:
                continue
            whole = int(t.ints[2 * word])
            start = 2 * word + (2 + 2 * HEAD if t.ints[2 * word + 1] > 0 else 2)
            for n in range(whole):
                out[size + n] = t.ints[start + n]
            if size == row:
                sorted_to = row + whole
            size += whole
            if t.ints[2 * word + 1] > 0:
                size = decide(t, word, lat[k], lng[k], x[k], y[k], z[k], out, size)
        if sorted_to < size and row + 1 < size:
            sort_tail(out, row, sorted_to, size)
        ends[k] = size
    return size
