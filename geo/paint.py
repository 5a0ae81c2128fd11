"""From fences to cells: which slot holds which fence, wholly or at its border.

Owns the list of entries (slot, fence) and the growing table of tiles. Must not know how records are written, nor how
the resolution of a fence was chosen (`levels`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from geo.arrays import FloatArray, IntArray
from geo.columns import Columns
from geo.face import lattice
from geo.kernel import kernel
from geo.levels import resolutions_of
from geo.raster import BORDER, WHOLE, raster, window_of
from geo.tiles import FREE, SIDE, TILE_CELLS, add_all, cell_in_tile, find, new_table, tile_key

CHUNK = 256
"""Fences painted between two reports of progress."""


@dataclass(slots=True)
class Painted:
    """What painting made: `slot[k]` holds fence `fence[k] >> 1`, wholly if the low bit is set. Ascending by fence
    within a slot. `tile_keys[n]` is the place of tile n."""

    resolutions: tuple[int, ...] = ()
    lattices: FloatArray = field(default_factory=lambda: np.empty((0, 4)))
    slot: IntArray = field(default_factory=lambda: np.empty(1024, np.int32))
    fence: IntArray = field(default_factory=lambda: np.empty(1024, np.int32))
    entries: int = 0
    tile_keys: IntArray = field(default_factory=lambda: np.empty(64, np.int64))
    tiles: int = 0
    table: IntArray = field(default_factory=lambda: new_table(64))
    state: IntArray = field(default_factory=lambda: np.empty(4096, np.int8))
    near: FloatArray = field(default_factory=lambda: np.empty(4096))

    def make_room(self, entries: int, tiles: int, cells: int) -> None:
        """Grow what is too small for so many entries, tiles and window cells."""
        if self.slot.size < entries:
            self.slot = _longer(self.slot, entries)
            self.fence = _longer(self.fence, entries)
        if self.tile_keys.size < tiles:
            self.tile_keys = _longer(self.tile_keys, tiles)
            self.table = new_table(self.tile_keys.size)
            add_all(self.table, self.tile_keys, self.tiles)
        if self.state.size < cells:
            self.state, self.near = np.empty(2 * cells, np.int8), np.empty(2 * cells)


def _longer(array: IntArray, size: int) -> IntArray:
    out = np.empty(max(size, array.size * 2), array.dtype)
    out[: array.size] = array
    return out


def paint(columns: Columns, progress: Callable[[int], None]) -> Painted:
    """Paint all fences; `progress` gets the number painted now and then."""
    wanted = resolutions_of(columns)
    used = tuple(int(r) for r in np.unique(wanted))[::-1]
    out = Painted(resolutions=used, lattices=np.array([lattice(r) for r in used]).reshape(-1, 4))
    done = 0
    for level, r in enumerate(used):
        order = np.flatnonzero(wanted == r).astype(np.int32)
        at = 0
        while at < order.size:
            last = min(at + CHUNK, order.size)
            reached, out.entries, out.tiles, entries, tiles, cells = _paint(
                columns, order, at, last, level, out.lattices[level], out.slot, out.fence, out.entries,
                out.tile_keys, out.tiles, out.table, out.state, out.near,
            )  # fmt: skip
            out.make_room(entries, tiles, cells)
            done += reached - at
            at = reached
            progress(done)
    return out


@kernel
def _paint(
    columns: Columns, order: IntArray, first: int, last: int, level: int, lattice: FloatArray,
    slot: IntArray, fence: IntArray, entries: int, tile_keys: IntArray, tiles: int,
    table: IntArray, state: IntArray, near: FloatArray,
) -> tuple[int, int, int, int, int, int]:  # fmt: skip
    """Paint `order[first:last]`, or as far as there is room.

    Returns how far it came, the entries and tiles now there, and the entries, tiles and window cells wanted next.
    """
    for n in range(first, last):
        f = order[n]
        cells, most, new_tiles = 0, 0, 0
        for face in range(20):
            w = window_of(columns, f, face, lattice)
            size = w.width * w.height
            cells += size
            most = max(most, size)
            if size > 0:
                new_tiles += (w.width // SIDE + 2) * (w.height // SIDE + 2)
        if entries + cells > slot.shape[0] or tiles + new_tiles > tile_keys.shape[0] or most > state.shape[0]:
            return n, entries, tiles, entries + cells, tiles + new_tiles, most
        for face in range(20):
            w = window_of(columns, f, face, lattice)
            if w.width == 0:
                continue
            raster(columns, f, w, state, near)
            last_key, base = FREE, 0
            for r in range(w.height):
                for k in range(w.width):
                    s = state[r * w.width + k]
                    if s != BORDER and s != WHOLE:
                        continue
                    i, j = w.i0 + k, w.j0 + r
                    key = tile_key(level, face, i, j)
                    if key != last_key:
                        at = find(table, key)
                        if table[at] == FREE:
                            table[at], table[at + 1], tile_keys[tiles] = key, tiles, key
                            tiles += 1
                        last_key, base = key, table[at + 1] * TILE_CELLS
                    slot[entries] = base + cell_in_tile(i, j)
                    fence[entries] = 2 * f + (s == WHOLE)
                    entries += 1
    return last, entries, tiles, 0, 0, 0
