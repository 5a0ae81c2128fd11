"""Where a cell's slot is: square tiles of the lattice, found by a hash of their place.

Owns the numbering of cells (resolution, face, i, j) -> slot. Must not know what a slot holds. A tile is 16 x 16 cells
of one face at one resolution; only tiles that some fence touches exist, so that memory goes with the ground covered.

The table is pairs of int64, key and value. A value is the number of the tile, and above these 32 bits a slot for all
its cells together: the record of what coarser cells say of them, or OPEN (`above`).
"""

from __future__ import annotations

import numpy as np

from geo.arrays import IntArray
from geo.kernel import kernel, maker

SHIFT = 4
SIDE = 1 << SHIFT
CELL_BITS = 2 * SHIFT
TILE_CELLS = 1 << CELL_BITS
OFFSET = 1 << 23
"""Added to i and j, which are below 2^23 in size even at resolution 15, to make them positive."""

FREE = -1

OPEN = (1 << 32) - 1
"""Instead of a slot: what coarser cells say is not the same for all cells of the tile."""


@kernel
def value_of(tile: int, above: int) -> int:
    """What the table says of a tile."""
    return tile | above << 32


@kernel
def tile_of(value: int) -> int:
    """The number of the tile."""
    return value & 0xFFFFFFFF


@kernel
def above_of(value: int) -> int:
    """The slot of what coarser cells say of the tile, or OPEN."""
    return (value >> 32) & 0xFFFFFFFF


@kernel
def tile_key(resolution: int, face: int, i: int, j: int) -> int:
    """The place of the tile that holds cell (i, j), as one number."""
    return ((resolution * 20 + face) << 48) | (((i + OFFSET) >> SHIFT) << 24) | ((j + OFFSET) >> SHIFT)


@kernel
def tile_place(key: int) -> tuple[int, int, int, int]:
    """(resolution, face, i, j) of the tile's first cell."""
    head = key >> 48
    i = ((key >> 24) & 0xFFFFFF) << SHIFT
    j = (key & 0xFFFFFF) << SHIFT
    return head // 20, head % 20, i - OFFSET, j - OFFSET


@kernel
def cell_in_tile(i: int, j: int) -> int:
    """The number of cell (i, j) within its tile."""
    return ((i & (SIDE - 1)) << SHIFT) | (j & (SIDE - 1))


@kernel
def home(table: IntArray, key: int) -> int:
    """Where `key` is in the open hash table, if no other key came there first."""
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    at: int = (int(np.int64(h >> np.uint64(32))) << 1) & (int(table.shape[0]) - 2)
    return at


@kernel
def find(table: IntArray, key: int) -> int:
    """Where `key` is in the open hash table, or where it would go (there the table is FREE)."""
    mask = int(table.shape[0]) - 2
    at = home(table, key)
    while table[at] != key and table[at] != FREE:
        at = (at + 2) & mask
    return at


@kernel
def table_size(tiles: int) -> int:
    """How many numbers a hash table for up to `tiles` tiles has: pairs of key and value, at least half free."""
    size = 32
    while size < 4 * tiles:
        size *= 2
    return size


@maker
def new_table(tiles: int) -> IntArray:
    """An empty hash table for up to `tiles` tiles: int64[2^k]."""
    return np.full(table_size(tiles), FREE, np.int64)


@kernel
def rehash(table: IntArray, out: IntArray) -> None:
    """Fill `out`, of a length as `table_size` tells, with what is in the table."""
    out[:] = FREE
    for k in range(0, table.shape[0], 2):
        if table[k] != FREE:
            at = find(out, table[k])
            out[at], out[at + 1] = table[k], table[k + 1]
