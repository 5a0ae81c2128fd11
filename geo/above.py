"""What coarser cells say of a whole tile, so that most points need not look at them.

Owns that question, and who must be asked again after an edit. Must not know how points are looked up. A fence of a
country is painted on cells that are as coarse as it is large, and few of these are at its border: nearly always all the
coarser cells that a point of a tile may fall into hold the same fences, wholly. A record of these is then put down
beside the tile (`tiles.value_of`); for the other tiles it is OPEN, and coarser cells are looked at, point by point.
"""

from __future__ import annotations

import math

import numpy as np

from geo.arrays import IntArray
from geo.face import lattice
from geo.kernel import kernel, maker
from geo.record import BEHIND, LINE, SEEN, STEP, Cells, hash_of, is_same, longer_arena, settled_slot
from geo.tiles import (
    FREE,
    OPEN,
    SIDE,
    TILE_CELLS,
    cell_in_tile,
    find,
    new_table,
    tile_key,
    tile_of,
    tile_place,
    value_of,
)
from geo.window import ROUND, ROW

AROUND = 2.0 / 3.0 + 1e-6
"""A point of a cell is less than this from the cell's i and j, told in steps along either axis."""

LATTICES = np.array([lattice(resolution) for resolution in range(16)])


def settled_above(cells: Cells, resolutions: tuple[int, ...], numbers: IntArray, touched: IntArray | None) -> Cells:
    """The cells, after it was asked what coarser cells say of their tiles: of all, or of what tiles `touched` bear on.

    `resolutions` are those in use, descending; `numbers` are int32 by row, as in a splice. Nobody else knows the table.
    """
    written, used = cells.written, np.array(resolutions, np.int64)
    arena, seen, done = cells.arena, np.zeros(SEEN, np.int64), 0
    places = _places(cells.table, np.empty(0, np.int64) if touched is None else touched, touched is None, used)
    while True:
        done, written.words, wanted = _settle_above(
            cells.table, places, cells.slots, arena, used, numbers, seen, done, written.words
        )
        if wanted == 0:
            return Cells(cells.table, cells.slots, arena, written)
        arena = longer_arena(arena, written.words, written.words + wanted)


@maker
def _places(table: IntArray, touched: IntArray, is_all: bool, resolutions: IntArray) -> IntArray:
    """Where in the table those tiles are that must be asked: all, or the touched and those under them."""
    keys, is_wide = new_table(touched.shape[0]), is_all
    for key in touched:
        keys[find(keys, key)] = key
        is_wide |= tile_place(key)[0] < resolutions[0]
    places, count = np.empty(table.shape[0] // 2 if is_wide else touched.shape[0], np.int64), 0
    if not is_wide:
        # nothing is under the finest tiles: an edit of small fences need not look at the whole table
        for key in touched:
            places[count] = find(table, key)
            count += 1
        return places
    for at in range(0, table.shape[0], 2):
        if table[at] != FREE and (is_all or _is_touched(keys, table[at], resolutions)):
            places[count] = at
            count += 1
    return places[:count]


@maker
def _settle_above(
    table: IntArray, places: IntArray, slots: IntArray, arena: IntArray, resolutions: IntArray,
    numbers: IntArray, seen: IntArray, first: int, used: int,
) -> tuple[int, int, int]:  # fmt: skip
    """(places done, words used, words wanted for more, 0 if all is done)."""
    found = np.empty(resolutions.shape[0], np.int64)
    for n in range(first, places.shape[0]):
        at = places[n]
        tile = tile_of(table[at + 1])
        count, whole = _coarser(table, slots, arena, table[at], resolutions, found)
        if count < 0:
            table[at + 1] = value_of(tile, OPEN)
        elif count <= 1:
            table[at + 1] = value_of(tile, found[0] if count == 1 else 0)
        else:
            if used + whole + LINE + BEHIND > arena.shape[0]:
                return n, used, whole + LINE + BEHIND
            slot, used = _put_together(arena, found, count, numbers, seen, used)
            table[at + 1] = value_of(tile, slot)
    return places.shape[0], used, 0


@kernel
def _coarser(
    table: IntArray, slots: IntArray, arena: IntArray, key: int, resolutions: IntArray, found: IntArray
) -> tuple[int, int]:
    """Put down the slots of the records that coarser cells have for the tile, where they are not empty.

    Returns how many there are, and how many fences they hold; (-1, 0) if cells of one resolution differ, or a border
    goes through one.
    """
    resolution, face, i, j = tile_place(key)
    count, whole = 0, 0
    for n in range(resolutions.shape[0]):
        if resolutions[n] >= resolution:
            continue
        slot = _slot_of_all(table, slots, arena, resolutions[n], face, _reach(resolution, resolutions[n], i, j))
        if slot < 0:
            return -1, 0
        if slot > 0:
            found[count] = slot
            count += 1
            whole += arena[(slot >> 3) * STEP]
    return count, whole


@kernel
def _reach(resolution: int, coarser: int, i: int, j: int) -> tuple[int, int, int, int]:
    """(first i, last i, first j, last j) of the coarser cells that points of the tile at (i, j) may fall into."""
    a, b, c, d = LATTICES[resolution, 0], LATTICES[resolution, 1], LATTICES[resolution, 2], LATTICES[resolution, 3]
    det = a * d - b * c
    i_low, i_high, j_low, j_high = math.inf, -math.inf, math.inf, -math.inf
    for corner in range(4):
        # a step around the middles of the outer cells: further than any of their points
        at_i = float(i - 1 if corner & 1 else i + SIDE)
        at_j = float(j - 1 if corner & 2 else j + SIDE)
        x, y = at_i - 0.5 * at_j, at_j * ROW
        u, v = (d * x - b * y) / det, (a * y - c * x) / det
        x = LATTICES[coarser, 0] * u + LATTICES[coarser, 1] * v
        y = LATTICES[coarser, 2] * u + LATTICES[coarser, 3] * v
        to_i, to_j = x + y * ROUND, y * 2.0 * ROUND
        i_low, i_high, j_low, j_high = min(i_low, to_i), max(i_high, to_i), min(j_low, to_j), max(j_high, to_j)
    return (
        math.ceil(i_low - AROUND), math.floor(i_high + AROUND), math.ceil(j_low - AROUND), math.floor(j_high + AROUND),
    )  # fmt: skip


@kernel
def _is_touched(keys: IntArray, key: int, resolutions: IntArray) -> bool:
    """True if the tile, or one of those that it is under, is among `keys`."""
    if keys[find(keys, key)] == key:
        return True
    resolution, face, i, j = tile_place(key)
    for n in range(resolutions.shape[0]):
        if resolutions[n] >= resolution:
            continue
        i_first, i_last, j_first, j_last = _reach(resolution, resolutions[n], i, j)
        for to_i in range(i_first, i_last + SIDE, SIDE):
            for to_j in range(j_first, j_last + SIDE, SIDE):
                coarse = tile_key(resolutions[n], face, min(to_i, i_last), min(to_j, j_last))
                if keys[find(keys, coarse)] == coarse:
                    return True
    return False


@kernel
def _slot_of_all(
    table: IntArray, slots: IntArray, arena: IntArray, resolution: int, face: int, reach: tuple[int, int, int, int]
) -> int:
    """The slot of the record that all the cells have, 0 if they have none, -1 if they differ or have borders."""
    i_first, i_last, j_first, j_last = reach
    same = -1
    for i in range(i_first, i_last + 1):
        for j in range(j_first, j_last + 1):
            key = tile_key(resolution, face, i, j)
            at = find(table, key)
            slot = int(slots[tile_of(table[at + 1]) * TILE_CELLS + cell_in_tile(i, j)]) if table[at] == key else 0
            if same < 0:
                same = slot
                if arena[(slot >> 3) * STEP + 1] > 0:
                    return -1
            elif slot != same:
                start, other = (slot >> 3) * STEP, (same >> 3) * STEP
                if slot == 0 or arena[start + 1] > 0 or not is_same(arena, start, start + 2 + arena[start], other):
                    return -1
    return same


@kernel
def _put_together(
    arena: IntArray, found: IntArray, count: int, numbers: IntArray, seen: IntArray, used: int
) -> tuple[int, int]:
    """(slot, words now used) of a record of all that the records hold, by number; an earlier one if it is the same."""
    end = used + 2
    for n in range(count):
        start = (found[n] >> 3) * STEP
        for k in range(start + 2, start + 2 + arena[start]):
            f, to = arena[k], end
            while to > used + 2 and numbers[arena[to - 1]] > numbers[f]:
                arena[to] = arena[to - 1]
                to -= 1
            arena[to] = f
            end += 1
    arena[used], arena[used + 1] = end - used - 2, 0
    h = hash_of(arena, used, end)
    if is_same(arena, used, end, (seen[h] >> 3) * STEP):
        return seen[h], used
    slot, used = settled_slot(arena, used, end)
    seen[h] = slot
    return slot, used
