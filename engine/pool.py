"""The rows of devices: taken out of the pool to be worked on, and put back.

Owns blocks and notes, and what of them is free. Must not know what rows mean. A device's rows stand together, in
ascending order of fence; a block that has become too small, or empty, goes to whoever needs its size next.
"""

from __future__ import annotations

import numpy as np

from engine.kernel import inlined, kernel, maker
from engine.layout import NEVER, NONE, NOTE, NOTES_FREE, NOTES_USED, POOL_USED, SIZES, WORK, Array, State


@inlined
def take(s: State, d: int) -> int:
    """Lay the rows of a device out in `s.rows`; returns how many."""
    device = s.table[d]
    for k in range(device.rows):
        row, work = s.pool[device.block + k], s.rows[k]
        work.fence, work.entered_ms = row.fence, row.entered_ms
        if row.note == NONE:
            work.row_ms, work.dwelled_ms, work.count, work.waits = 0, 0, 0, 0
        else:
            note = s.notes[row.note]
            work.row_ms, work.dwelled_ms, work.count, work.waits = note.row_ms, note.dwelled_ms, note.count, note.waits
    return int(device.rows)


@inlined
def put(s: State, d: int, n: int) -> None:
    """Put the first `n` of `s.rows` back as the rows of a device."""
    device = s.table[d]
    for k in range(device.rows):
        _free_note(s, s.pool[device.block + k].note)
    _fit_block(s, d, n)
    for k in range(n):
        row, work = s.pool[device.block + k], s.rows[k]
        row.fence, row.entered_ms, row.note = work.fence, work.entered_ms, NONE
        if work.count != 0 or work.row_ms != 0 or work.dwelled_ms != 0 or work.waits != 0:
            row.note = _new_note(s)
            note = s.notes[row.note]
            note.row_ms, note.dwelled_ms, note.count, note.waits = work.row_ms, work.dwelled_ms, work.count, work.waits
    device.rows = n


@inlined
def has_room(s: State, n: int) -> bool:
    """True if a device may come to have `n` rows."""
    return bool(
        n < s.rows.size
        and s.book[POOL_USED] + SIZES[size_of(n)] <= s.pool.size
        and s.book[NOTES_USED] + n <= s.notes.size
    )


@inlined
def insert(s: State, n: int, k: int, fence: int, entered_ms: int) -> None:
    """Make room for a row before the k-th of `n`."""
    for at in range(n, k, -1):
        s.rows[at] = s.rows[at - 1]
    row = s.rows[k]
    row.fence, row.entered_ms = fence, entered_ms
    row.row_ms, row.dwelled_ms, row.count, row.waits = 0, 0, 0, 0


@inlined
def remove(s: State, n: int, k: int) -> None:
    """Close the gap that the k-th of `n` rows leaves."""
    for at in range(k, n - 1):
        s.rows[at] = s.rows[at + 1]


@kernel
def size_of(n: int) -> int:
    """The smallest size of block that holds `n` rows."""
    size = 0
    while SIZES[size] < n:
        size += 1
    return size


@inlined
def _fit_block(s: State, d: int, n: int) -> None:
    """Give a device the block that `n` rows need: a larger one when they do not fit, none when there are none."""
    device = s.table[d]
    if n <= SIZES[device.size] and (n > 0 or device.size == 0):
        return
    if device.size != 0:
        s.pool[device.block].note = s.free[device.size]
        s.free[device.size] = device.block
    size = size_of(n)
    device.size, device.block = size, 0
    if size == 0:
        return
    if s.free[size] != NONE:
        device.block = s.free[size]
        s.free[size] = s.pool[device.block].note
    else:
        device.block = s.book[POOL_USED]
        s.book[POOL_USED] += SIZES[size]


@inlined
def _new_note(s: State) -> int:
    note = s.book[NOTES_FREE]
    if note != NONE:
        s.book[NOTES_FREE] = s.notes[note].count
        return int(note)
    s.book[NOTES_USED] += 1
    return int(s.book[NOTES_USED] - 1)


@inlined
def _free_note(s: State, note: int) -> None:
    if note != NONE:
        s.notes[note].count = s.book[NOTES_FREE]
        s.book[NOTES_FREE] = note


def rows_of(s: State, slots: Array) -> tuple[Array, Array]:
    """The rows of many devices, one device's after the other's, and where those of each end."""
    counts = s.table["rows"][slots].astype(np.int64)
    ends = np.cumsum(counts)
    if not counts.any():
        return np.zeros(0, WORK), ends
    within = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
    rows = s.pool[np.repeat(s.table["block"][slots].astype(np.int64), counts) + within]
    work = np.zeros(rows.size, WORK)
    work["fence"], work["entered_ms"] = rows["fence"], rows["entered_ms"]
    noted = np.flatnonzero(rows["note"] != NONE)
    notes = s.notes[rows["note"][noted]]
    for name in NOTE.names or ():
        work[name][noted] = notes[name]
    return work, ends


@maker
def inside(s: State, used: int, wanted: Array) -> Array:
    """Who is in any of the fences of the flags `wanted`: a row of (slot, fence, entered_ms) for each."""
    found = np.empty((64, 3), np.int64)
    count = 0
    for d in range(used):
        device = s.table[d]
        for k in range(device.block, device.block + device.rows):
            row = s.pool[k]
            if row.entered_ms == NEVER or not wanted[row.fence]:
                continue
            if count == found.shape[0]:
                larger = np.empty((2 * count, 3), np.int64)
                larger[:count] = found
                found = larger
            found[count, 0], found[count, 1], found[count, 2] = d, row.fence, row.entered_ms
            count += 1
    return found[:count]
