"""What a cell knows: its record, all that is needed to answer for any of its points.

Owns the layout of records and slots, and the writing of both: new fences are spliced into what is there, others taken
out, and a build is a splice into nothing. Must not know how points come in, nor what is in an entry (`entry`).

A record is a row of int32 in the arena: (whole fences, border fences), the rows of the whole fences, then the entries
of the border fences; both ascend by the number that the fence has for others. In an entry's first word, above the
fence, is its place: how many whole fences of the record come before it. So who reads need not sort.

A slot is uint32: where the record starts, in steps of 16 bytes, times 8, and how many lines of cache it goes on for
after its first, at most 7; 0 for no record. A record that fits one line lies in one line. Whole fences are read by
AT_ONCE, so a record goes on for so many words after their first, at least.

What is written is never changed: a changed cell gets a new record, its tile new slots, and the table that finds the
tiles is copied. So older versions of an index go on undisturbed, in other threads too, and share what did not change.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geo.arrays import LINE_BYTES, IntArray, aligned
from geo.columns import FENCES_MAX
from geo.kernel import kernel, maker
from geo.paint import Painted
from geo.tiles import FREE, OPEN, TILE_CELLS, above_of, find, rehash, table_size, tile_of, value_of

STEP = 4
"""Records start at multiples of so many words."""

LINE = LINE_BYTES // 4
"""Words in a line of the processor's cache."""

AT_ONCE = 8
"""So many whole fences are read together, be they of the record or not."""

FENCE_BITS = (FENCES_MAX - 1).bit_length()

FENCE = FENCES_MAX - 1
"""The bits of an entry's first word that are the fence."""

FAR = (1 << 32 - FENCE_BITS) - 1
"""The highest place that an entry can say; where more whole fences come before, rows must be sorted."""

FAR_LINES = (FAR + 2) // LINE
"""A record of more whole fences than FAR goes on for so many lines after its first, at least."""

BEHIND = 8 * LINE
"""Words of nothing behind the last record: lookups touch whole lines."""

SEEN = 1 << 14
"""Records without border fences are often the same as an earlier one: so many are remembered."""


@dataclass(slots=True)
class Written:
    """How far slots and arena are written. One for all versions of an index that share them."""

    tiles: int = 0
    words: int = LINE


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of one version of an index; see `tiles` for the table."""

    table: IntArray
    slots: IntArray
    arena: IntArray
    written: Written

    @classmethod
    def none(cls, size: int) -> Cells:
        """No cells at all, but room for about so many bytes of records: it takes no memory before it is written to."""
        arena = aligned(_with_spare(size // 4), np.int32)
        arena[:LINE] = 0
        return cls(np.full(64, FREE, np.int64), np.empty(0, np.uint32), arena, Written())

    @classmethod
    def holding(cls, table: IntArray, slots: IntArray, arena: IntArray) -> Cells:
        """Cells that were written before, as `filled` gave them. The first edit takes a longer copy."""
        return cls(table, slots, arena, Written(len(slots) // TILE_CELLS, len(arena) - BEHIND))

    def copied(self) -> Cells:
        """The same cells in other memory."""
        table, slots = (_moved(array, len(array), len(array)) for array in (self.table, self.slots))
        arena = _moved(self.arena, len(self.arena), _with_spare(len(self.arena)))
        return Cells(table, slots, arena, self.written)

    def filled(self) -> tuple[IntArray, IntArray, IntArray]:
        """(table, slots, arena) as far as they are written, with what lookups touch behind that."""
        written = self.written
        return self.table, self.slots[: written.tiles * TILE_CELLS], self.arena[: written.words + BEHIND]

    def spliced(self, painted: Painted, numbers: IntArray, gone: IntArray, *, own: bool = False) -> Cells:
        """The cells with what was painted, without the fences that are `gone`; both are int8 or int32 by row.

        Fences are painted in the order of their numbers; of those that are gone it only matters where they are.
        With `own` nobody else knows these cells, and they may be written over.
        """
        written = self.written
        fresh = 0 if own else written.tiles
        most = written.tiles + len(painted.tile_keys)
        table = _longer_table(self.table, most) if not own or 4 * most > len(self.table) else self.table
        slots = _longer(self.slots, written.tiles * TILE_CELLS, most * TILE_CELLS)
        arena, seen, at = self.arena, np.zeros(SEEN, np.int64), 0
        while True:
            at, written.tiles, written.words, wanted = _splice(
                painted, numbers, gone, table, slots, arena, seen, at, written.tiles, fresh, written.words
            )
            if wanted == 0:
                return Cells(table, slots, arena, written)
            arena = longer_arena(arena, written.words, written.words + wanted)


def _with_spare(words: int) -> int:
    """Room for half as much again: without any, some edit would have to copy all records, which takes seconds."""
    return words + words // 2 + BEHIND


def _longer_table(table: IntArray, tiles: int) -> IntArray:
    """A copy of the table with room for `tiles` tiles in all, and no less than it has."""
    size = table_size(tiles)
    if size <= len(table):
        return _moved(table, len(table), len(table))
    out = aligned(size, np.int64)
    rehash(table, out)
    return out


def _longer(slots: IntArray, used: int, size: int) -> IntArray:
    if size <= len(slots):
        return slots
    return _moved(slots, used, size + size // 4)


def longer_arena(arena: IntArray, used: int, size: int) -> IntArray:
    """A copy of what is used, with room for `size` words and half as much again."""
    return _moved(arena, used, _with_spare(size))


def _moved(array: IntArray, used: int, size: int) -> IntArray:
    """What is used of an array, in one of another size; memory that is not written to yet is not taken."""
    out = aligned(size, array.dtype)
    # another version may have gone beyond the end, in a copy of its own
    used = min(used, len(array))
    out[:used] = array[:used]
    return out


@kernel
def _splice(
    p: Painted, numbers: IntArray, gone: IntArray, table: IntArray, slots: IntArray, arena: IntArray, seen: IntArray,
    first: int, tiles: int, fresh: int, used: int,
) -> tuple[int, int, int, int]:  # fmt: skip
    """Rewrite the cells that were painted, from the painted slot `first` on, as far as the arena reaches.

    Returns the painted slot reached, the tiles and words now used, and the words wanted for more, 0 if all is done.
    """
    tile, known = 0, -1
    for s in range(first, p.tile_keys.shape[0] * TILE_CELLS):
        a, b = p.starts[s], p.starts[s + 1]
        if a == b:
            continue
        if s // TILE_CELLS != known:
            known = s // TILE_CELLS
            tile, tiles = _own_tile(table, slots, p.tile_keys[known], tiles, fresh)
        slot = tile * TILE_CELLS + s % TILE_CELLS
        # with room for what is there, what comes, and a step to the next line
        old = (int(slots[slot]) >> 3) * STEP
        room = _size(arena, old) + LINE + BEHIND
        for k in range(a, b):
            room += 1 if p.entry[k] < 0 else entry_size(p.words, p.entry[k])
        if used + room > arena.shape[0]:
            return s, tiles, used, room
        end = _merge(p, a, b, numbers, gone, arena, old, used)
        if arena[used] + arena[used + 1] == 0:
            slots[slot] = 0
            continue
        plain = arena[used + 1] == 0
        h = hash_of(arena, used, end) if plain else 0
        if plain and is_same(arena, used, end, (seen[h] >> 3) * STEP):
            slots[slot] = seen[h]
            continue
        slots[slot], used = settled_slot(arena, used, end)
        if plain:
            seen[h] = slots[slot]
    return first, tiles, used, 0


@maker
def _own_tile(table: IntArray, slots: IntArray, key: int, tiles: int, fresh: int) -> tuple[int, int]:
    """(tile, tiles) for writing: a new tile, or one that this version has made already, else a copy of the old."""
    at = find(table, key)
    tile = tile_of(table[at + 1]) if table[at] == key else -1
    above = above_of(table[at + 1]) if table[at] == key else OPEN
    if tile >= fresh:
        return tile, tiles
    new = slots[tiles * TILE_CELLS : (tiles + 1) * TILE_CELLS]
    new[:] = 0
    if tile >= 0:
        new[:] = slots[tile * TILE_CELLS : (tile + 1) * TILE_CELLS]
    table[at], table[at + 1] = key, value_of(tiles, above)
    return tiles, tiles + 1


@kernel
def entry_size(words: IntArray, at: int) -> int:
    """The words of the entry at `at`."""
    return 2 + 2 * ((int(words[at + 1]) >> 2) & 0x3FFF)


@kernel
def _size(arena: IntArray, start: int) -> int:
    """The words of the record at `start`."""
    at = start + 2 + int(arena[start])
    for _ in range(arena[start + 1]):
        at += entry_size(arena, at)
    return at - start


@kernel
def _merge(
    p: Painted, a: int, b: int, numbers: IntArray, gone: IntArray, arena: IntArray, old: int, used: int
) -> int:  # fmt: skip
    """Write at `used` what is left of the record at `old`, and what is painted in `a:b`; returns the word after it."""
    at, k = used + 2, _next(p, a, b, True, gone)
    for n in range(old + 2, old + 2 + arena[old]):
        f = arena[n]
        if gone[f]:
            continue
        while k < b and numbers[p.fence[k]] < numbers[f]:
            arena[at] = p.fence[k]
            at, k = at + 1, _next(p, k + 1, b, True, gone)
        arena[at] = f
        at += 1
    while k < b:
        arena[at] = p.fence[k]
        at, k = at + 1, _next(p, k + 1, b, True, gone)
    first_entry = at
    arena[used] = at - used - 2
    borders, k = 0, _next(p, a, b, False, gone)
    n = old + 2 + arena[old]
    for _ in range(arena[old + 1]):
        size, f = entry_size(arena, n), arena[n] & FENCE
        if not gone[f]:
            while k < b and numbers[p.fence[k]] < numbers[f]:
                at, borders = _copied(p.words, p.entry[k], arena, at), borders + 1
                k = _next(p, k + 1, b, False, gone)
            at, borders = _copied(arena, n, arena, at), borders + 1
        n += size
    while k < b:
        at, borders = _copied(p.words, p.entry[k], arena, at), borders + 1
        k = _next(p, k + 1, b, False, gone)
    arena[used + 1] = borders
    _put_places(arena, used, first_entry, numbers)
    return at


@kernel
def _put_places(arena: IntArray, start: int, at: int, numbers: IntArray) -> None:
    """Write the places of the record's border fences, whose entries start at `at`."""
    place, whole = 0, arena[start]
    for _ in range(arena[start + 1]):
        f = arena[at] & FENCE
        while place < whole and numbers[arena[start + 2 + place]] < numbers[f]:
            place += 1
        arena[at] = f | min(place, FAR) << FENCE_BITS
        at += entry_size(arena, at)


@kernel
def _next(p: Painted, k: int, b: int, whole: bool, gone: IntArray) -> int:
    """The first from `k` on that is to be written among the whole fences, or among those of the border."""
    while k < b and ((p.entry[k] < 0) != whole or gone[p.fence[k]]):
        k += 1
    return k


@maker
def _copied(words: IntArray, at: int, arena: IntArray, to: int) -> int:
    """Copy an entry; returns the word after it."""
    size = entry_size(words, at)
    arena[to : to + size] = words[at : at + size]
    return to + size


@kernel
def settled_slot(arena: IntArray, start: int, end: int) -> tuple[int, int]:
    """Move the newest record to the next line if that saves one; (its slot, words now used)."""
    read_to = max(end, start + 2 + int(arena[start]) + AT_ONCE)
    if (read_to - 1) // LINE - start // LINE != (read_to - start - 1) // LINE:
        by = LINE - start % LINE
        for k in range(end - 1, start - 1, -1):
            arena[k + by] = arena[k]
        start, end, read_to = start + by, end + by, read_to + by
    slot = start // STEP << 3 | min(7, (read_to - 1) // LINE - start // LINE)
    return slot, (end + STEP - 1) // STEP * STEP


@kernel
def hash_of(arena: IntArray, start: int, end: int) -> int:
    h = np.uint64(0)
    for k in range(start, end):
        h = (h ^ np.uint64(arena[k])) * np.uint64(0x9E3779B97F4A7C15)
    return int(np.int64(h >> np.uint64(40))) % SEEN


@kernel
def is_same(arena: IntArray, start: int, end: int, other: int) -> bool:
    """True if the new record is the same as the one at `other`, both without border fences."""
    if other == 0 or arena[other] != arena[start]:
        return False
    same = True
    for k in range(2, end - start):
        same = same and arena[other + k] == arena[start + k]
    return same
