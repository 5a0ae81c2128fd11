"""From fences to cells: which cell holds which fence, wholly or at its border.

Owns the list of (cell, fence, entry) that painting makes, sorted by cell. Must not know what is in the index already,
nor how the resolution of a fence was chosen (`levels`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import CORRIDOR, Columns
from geo.entry import new_scratch, put_asking, put_entry
from geo.kernel import kernel, maker
from geo.lanes import WORDS
from geo.pieces import pieces_of
from geo.raster import BORDER, WHOLE, fill_rows, touch_all
from geo.raster_line import raster_line
from geo.tiles import FREE, SIDE, TILE_CELLS, cell_in_tile, find, new_table, rehash, tile_key
from geo.window import Window, window_of


class Painted(NamedTuple):
    """What painting made, by cell: cell c of tile n is `starts[n * TILE_CELLS + c]` up to the next start.

    tile_keys: int64[tiles]; starts: int64[tiles * TILE_CELLS + 1]. fence: int32[..], in a cell in the order of
    painting; entry: int64[..], where in `words` the entry is, or -1 for a fence that covers the cell.
    """

    tile_keys: IntArray
    starts: IntArray
    fence: IntArray
    entry: IntArray
    words: IntArray


class _Growing(NamedTuple):
    """As `Painted`, unsorted, with room to spare; `slot` is tile * TILE_CELLS + cell, `sizes` entries, tiles, words.

    Words begin with some of nothing, since who reads an entry looks at those before it too.
    """

    slot: IntArray
    fence: IntArray
    entry: IntArray
    words: IntArray
    tile_keys: IntArray
    table: IntArray
    sizes: IntArray


@maker
def paint(columns: Columns, rows: IntArray, painted_at: IntArray, lattices: FloatArray) -> Painted:
    """Paint the fences `rows`, fence f at resolution `painted_at[f]`; `lattices` are of all resolutions."""
    out = _Growing(
        np.empty(1024, np.int32), np.empty(1024, np.int32), np.empty(1024, np.int64), np.empty(4096, np.int32),
        np.empty(64, np.int64), new_table(64), np.array([0, 0, WORDS]),
    )  # fmt: skip
    for n in range(rows.shape[0]):
        f = rows[n]
        for face in range(20):
            w = window_of(columns, f, face, lattices[painted_at[f]])
            if w.width > 0:
                out = _paint(columns, f, w, painted_at[f], out)
    return _sorted(out)


@maker
def _paint(columns: Columns, f: int, w: Window, resolution: int, out: _Growing) -> _Growing:
    """Paint one fence on one face."""
    size = w.width * w.height
    state, heads = np.zeros(size, np.int8), np.full(size, -1, np.int32)
    is_line = columns.kind[f] == CORRIDOR
    ends, bends, count = np.empty((0, 4)), np.empty(0), 0
    links: IntArray = np.empty((0, 2), np.int32)
    if is_line:
        raster_line(columns, f, w, state, np.full(size, np.inf))
    else:
        ends, bends, count = pieces_of(columns, f, w)
        links = touch_all(w, ends, bends, count, state, heads)
        fill_rows(columns, f, w, state)
    cells = 0
    for at in range(size):
        cells += (state[at] == BORDER) | (state[at] == WHOLE)
    out = _with_room(out, cells, (w.width // SIDE + 2) * (w.height // SIDE + 2))
    slot, fence, entry, words = out.slot, out.fence, out.entry, out.words
    n, used = out.sizes[0], out.sizes[2]
    scratch = new_scratch(count)
    key, tile = FREE, 0
    for at in range(size):
        if state[at] != BORDER and state[at] != WHOLE:
            continue
        i, j = w.i0 + at % w.width, w.j0 + at // w.width
        if tile_key(resolution, w.face, i, j) != key:
            key = tile_key(resolution, w.face, i, j)
            tile = _tile(out, key)
        slot[n], fence[n], entry[n] = tile * TILE_CELLS + cell_in_tile(i, j), f, -1
        if state[at] == BORDER:
            entry[n] = used
            if used + 4 * count + 8 > words.shape[0]:
                words = _longer(words, used + 4 * count + 8)
            if is_line:
                used = put_asking(words, used, f)
            else:
                used = put_entry(columns, f, w, i, j, heads[at], links, ends, bends, scratch, words, used)
        n += 1
    out.sizes[0], out.sizes[2] = n, used
    return _Growing(slot, fence, entry, words, out.tile_keys, out.table, out.sizes)


@kernel
def _tile(out: _Growing, key: int) -> int:
    """The number of a tile, a new one if need be."""
    at = find(out.table, key)
    if out.table[at] == FREE:
        tiles = out.sizes[1]
        out.table[at], out.table[at + 1], out.tile_keys[tiles] = key, tiles, key
        out.sizes[1] = tiles + 1
    return int(out.table[at + 1])


@maker
def _with_room(out: _Growing, cells: int, tiles: int) -> _Growing:
    """The same with room for so many entries and tiles more."""
    slot, fence, entry, table, keys = out.slot, out.fence, out.entry, out.table, out.tile_keys
    cells, tiles = cells + out.sizes[0], tiles + out.sizes[1]
    if cells > slot.shape[0]:
        slot, fence, entry = _longer(slot, cells), _longer(fence, cells), _longer(entry, cells)
    if tiles > keys.shape[0]:
        keys = _longer(keys, tiles)
        longer = new_table(keys.shape[0])
        rehash(table, longer)
        table = longer
    return _Growing(slot, fence, entry, out.words, keys, table, out.sizes)


@maker
def _longer(array: IntArray, size: int) -> IntArray:
    """A copy with room for `size`, and for half as many more."""
    out = np.empty(size + size // 2, array.dtype)
    out[: array.shape[0]] = array
    return out


@maker
def _sorted(out: _Growing) -> Painted:
    """By cell, the order of painting kept within: counting sort."""
    entries, tiles, used = out.sizes
    starts = np.zeros(tiles * TILE_CELLS + 1, np.int64)
    for k in range(entries):
        starts[out.slot[k] + 1] += 1
    for s in range(tiles * TILE_CELLS):
        starts[s + 1] += starts[s]
    fence, entry = np.empty(entries, np.int32), np.empty(entries, np.int64)
    for k in range(entries):
        s = out.slot[k]
        at = starts[s]
        fence[at], entry[at] = out.fence[k], out.entry[k]
        starts[s] = at + 1
    for s in range(tiles * TILE_CELLS, 0, -1):
        starts[s] = starts[s - 1]
    starts[0] = 0
    return Painted(out.tile_keys[:tiles].copy(), starts, fence, entry, out.words[:used].copy())
