"""A batch of fixes, and the timers that are due: worked device by device without Python.

Owns what becomes of each row, the way of a fix through a device's state, and which devices are left to Python: those
that hear beacons (`engine/hearing.py`). Must not know names. Where the arrays might become too small a kernel returns
before it touched anything, and is called again from there once they have grown.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from engine.crossing import may_cross, note_usable, tell_crossed
from engine.kernel import inlined, kernel
from engine.layout import ASIDE, CALM, FAR, FIX, MOVED, NEVER, NONE, QUEUED, TOLDS, WITH, Array, Asks, State, wide
from engine.pool import has_room, take
from engine.presence import SILENCE, finish, fire, is_surely_out, on_fix, tell
from engine.queue import due_ms, is_due, own_due_ms, pop, schedule
from geo.columns import BOX
from geo.memory import fetch_near, peek

#: What became of a row. ASKED: it is left to Python.
DONE, DUPLICATE, LATE, ASKED = range(4)
#: The request number of what no request caused.
NO_REQUEST = -1
#: The fences that a zone holds, of a device that is in none.
NOTHING_HELD = np.zeros(0, np.int32)

#: What a row needs of memory is asked for in four stages, the last one so many rows before its own; see `_ask_ahead`.
AHEAD = 16
#: Of the border of a fence, so many edges are asked for: most have no more.
EDGES_AHEAD = 64
#: So many edges of a sketch are in one line of the cache.
_EDGES_A_LINE = 8


class Rows(NamedTuple):
    """A batch of fixes and sightings, as columns in the table's numbers.

    `user` is NONE where none was named. `fences[offsets[i] : offsets[i + 1]]` are those of row i, ascending. `borders`
    are the requests' ends, `code` is filled with what became of each row. `ends` are those of the frames that were
    joined to the batch, `instants` when each was taken by the machine's clock.
    """

    device: Array
    user: Array
    sighting: Array
    time_ms: Array
    received_ms: Array
    lat: Array
    lng: Array
    accuracy: Array
    mocked: Array
    offsets: Array
    fences: Array
    borders: Array
    code: Array
    ends: Array
    instants: Array


@kernel
def lay_out(beacon: Array, instants: Array, sighting: Array, code: Array, received_ms: Array) -> bool:
    """Fill the columns of rows not worked yet, all received at the first instant; True if some are sightings."""
    some = False
    for i in range(beacon.size):
        is_sighting = beacon[i] != NONE
        sighting[i], code[i], received_ms[i] = is_sighting, DONE, instants[0]
        some |= is_sighting
    return some


@kernel
def work(
    s: State, asks: Asks, rows: Rows, held: Array, first: int, frame: int, until_ms: int, request: int
) -> tuple[int, int, bool]:
    """Work the rows from `first` on, in order, which is one of `frame`.

    Returns the row and the frame to go on from, and whether any row of the last frame that was begun is left to Python.
    One goes on where more room is needed; or at the next frame, if it may have a timer to fire first, or is not before
    `until_ms`, or the one before it has rows that are left to Python. `request` is the number of the batch's first.
    The queue must have room for all rows.
    """
    border, left = _border_of(rows.borders, first), False
    for i in range(rows.ends[frame - 1] if frame > 0 else 0, first):
        left |= rows.code[i] == ASKED
    for f in range(frame, rows.ends.size):
        now_ms = rows.instants[f]
        if f > frame and (left or now_ms >= until_ms or is_due(s, now_ms)):
            return first, f, left
        for i in range(first, rows.ends[f]):
            while i >= peek(rows.borders, border):
                border += 1
            _ask_ahead(s, asks, rows, i)
            d, time_ms = wide(peek(rows.device, i)), peek(rows.time_ms, i)
            device = s.table[d]
            if peek(rows.sighting, i) or peek(s.aside, d) or device.busy == ASIDE:
                s.aside[d] = 1
                rows.code[i], left = ASKED, True
                continue
            if time_ms <= device.fix_ms:
                rows.code[i] = DUPLICATE if time_ms == device.fix_ms else LATE
                continue
            fences = rows.fences[peek(rows.offsets, i) : peek(rows.offsets, i + 1)]
            user = wide(peek(rows.user, i))
            lat, lng, accuracy = peek(rows.lat, i), peek(rows.lng, i), peek(rows.accuracy, i)
            fix = (time_ms, peek(rows.received_ms, i), lat, lng, accuracy, wide(peek(rows.mocked, i)))
            if _is_calm(s, asks, d, user, time_ms, lat, lng, accuracy, fences) and not may_cross(
                s, asks, d, time_ms, lat, lng
            ):
                _note(s, asks, d, user, fix)
            elif _has_room(s, asks, d, fences.size):
                take_fix(s, asks, d, user, fix, fences, held, request + border)
            else:
                return i, f, left
            rows.code[i] = DONE
        first = rows.ends[f]
    return first, rows.ends.size, left


@kernel
def ring(s: State, asks: Asks, held: Array, until_ms: int, now_ms: int, left: Array) -> int:
    """Fire the timers due by `until_ms` on the machine's clock, as told at `now_ms`.

    Puts the devices that are left to Python into `left`, until it is full; returns how many.
    """
    count = 0
    while is_due(s, until_ms) and count < left.size and _has_room(s, asks, wide(s.queue[0].slot), 0):
        d = wide(s.queue[0].slot)
        if not pop(s):
            continue
        if due_ms(s, d) > until_ms:
            schedule(s, d)
        elif s.table[d].busy == ASIDE:
            left[count] = d
            count += 1
        else:
            tick(s, asks, d, held, s.table[d].clock_ms + until_ms - s.table[d].recv_ms, SILENCE, NO_REQUEST, now_ms)
    return count


@kernel
def tick(s: State, asks: Asks, d: int, held: Array, until_ms: int, until_rank: int, request: int, now_ms: int) -> None:
    """Fire the timers of one device's rows that are due by then, on its own clock."""
    n = fire(s, asks, d, take(s, d), held, until_ms, until_rank, request, now_ms)
    finish(s, asks, d, n, held)
    schedule(s, d)


@inlined
def take_fix(
    s: State, asks: Asks, d: int, user: int, fix: tuple[int, int, float, float, float, int], fences: Array,
    held: Array, request: int,
) -> None:  # fmt: skip
    """Take in a device's newest fix: (time, received, lat, lng, accuracy, mocked)."""
    time_ms, now_ms, lat, lng, accuracy, mocked = fix
    n = take(s, d)
    if own_due_ms(s, d) <= time_ms:
        n = fire(s, asks, d, n, held, time_ms, SILENCE, request, now_ms)
    device = s.table[d]
    if time_ms >= device.clock_ms:
        device.recv_ms = now_ms
        if user >= 0 and user != device.user:
            hand_over(s, d, n, user, time_ms, request, now_ms)
    device.lat, device.lng, device.accuracy, device.mocked = lat, lng, accuracy, mocked
    if may_cross(s, asks, d, time_ms, lat, lng):
        tell_crossed(s, asks, d, time_ms, lat, lng, fences, request, now_ms)
    note_usable(s, asks, d, time_ms, lat, lng, accuracy)
    n = on_fix(s, asks, d, n, held, time_ms, fences, request, now_ms)
    finish(s, asks, d, n, held)
    schedule(s, d)


@kernel
def hand_over(s: State, d: int, n: int, user: int, time_ms: int, request: int, now_ms: int) -> None:
    """The device is another user's from here on, with all that it is in; if it is in nothing, nobody need know."""
    told = False
    for k in range(n):
        row = s.rows[k]
        if row.entered_ms != NEVER:
            if not told:
                tell(s, d, MOVED, user, time_ms, FIX, 0, 0, request, now_ms)
                told = True
            tell(s, d, WITH, row.fence, time_ms, FIX, row.entered_ms, 0, request, now_ms)
    s.table[d].user = user


@inlined
def _ask_ahead(s: State, asks: Asks, rows: Rows, i: int) -> None:
    """Have what rows after row `i` need of memory brought near: each stage finds at hand what an earlier one asked for.

    First come their devices, then what these are in, then fences that they may enter or leave, last their borders.
    """
    last = rows.device.size - 1
    d = wide(peek(rows.device, min(i + 4 * AHEAD, last)))
    fetch_near(s.table, d)
    fetch_near(s.table, d + 1)  # the line that a device's record ends in, for nearly all
    device = s.table[wide(peek(rows.device, min(i + 3 * AHEAD, last)))]
    fetch_near(s.pool, device.block)
    fetch_near(s.pool, device.block + max(device.rows - 1, 0))
    _ask_changing(s, asks, rows, min(i + 2 * AHEAD, last), False)
    _ask_changing(s, asks, rows, min(i + AHEAD, last), True)


@inlined
def _ask_changing(s: State, asks: Asks, rows: Rows, i: int, borders: bool) -> None:
    """Ask for the fences, or then their borders, that either row `i` is in or its device, but not both."""
    d = wide(peek(rows.device, i))
    device, at, end = s.table[d], peek(rows.offsets, i), peek(rows.offsets, i + 1)
    if device.busy == CALM and device.rows == end - at:
        return  # most are in what they were in; the few that entered one fence and left another wait
    fetch_near(s.due, d)
    for k in range(device.block, device.block + device.rows):
        fence = wide(s.pool[k].fence)
        while at < end and peek(rows.fences, at) < fence:
            _ask_fence(asks, wide(peek(rows.fences, at)), borders)
            at += 1
        if at < end and peek(rows.fences, at) == fence:
            at += 1
        else:
            _ask_fence(asks, fence, borders)
    for k in range(at, end):
        _ask_fence(asks, wide(peek(rows.fences, k)), borders)


@inlined
def _ask_fence(asks: Asks, fence: int, border: bool) -> None:
    """Ask for what presence asks of a fence; or then for its border, if that will be looked at."""
    if not border:
        fetch_near(asks.fences, fence)
        return
    of = asks.fences[fence]
    if not of.instant:
        fetch_near(asks.borders.boxes, BOX * wide(of.block))
        for e in range(of.row, min(of.last, of.row + EDGES_AHEAD), _EDGES_A_LINE):
            fetch_near(asks.borders.sketch, 4 * wide(e))


@inlined
def _border_of(borders: Array, row: int) -> int:
    """The number of the request that a row is of."""
    low, high = 0, borders.size
    while low < high:
        middle = (low + high) >> 1
        if borders[middle] <= row:
            low = middle + 1
        else:
            high = middle
    return low


@inlined
def _is_calm(
    s: State, asks: Asks, d: int, user: int, time_ms: int, lat: float, lng: float, accuracy: float, fences: Array
) -> bool:
    """True if a fix changes nothing but where and when the device was seen last.

    Such are those in all the fences that the device is in, and in no other; but for fences that it is near the border
    of: the point is out, and its circle not.
    """
    device = s.table[d]
    if device.busy != CALM or fences.size > device.rows or device.timer_ms <= time_ms:
        return False
    if device.rows == 0:
        return True
    if accuracy > asks.accuracy_max_m or (user >= 0 and user != device.user):
        return False
    if device.clock_ms + device.quiet_ms <= time_ms:
        return False
    if fences.size == device.rows:  # then they are the same, or one is new
        for k in range(fences.size):  # noqa: SIM110 # a kernel has no `all`
            if s.pool[device.block + k].fence != peek(fences, k):
                return False
        return True
    f = 0
    for k in range(device.block, device.block + device.rows):
        fence = s.pool[k].fence
        if f < fences.size and peek(fences, f) <= fence:
            if peek(fences, f) != fence:
                return False
            f += 1
        elif is_surely_out(asks, fence, lat, lng, accuracy):
            return False
    return bool(f == fences.size)


@inlined
def _note(s: State, asks: Asks, d: int, user: int, fix: tuple[int, int, float, float, float, int]) -> None:
    """Note where and when a device was seen last."""
    time_ms, received_ms, lat, lng, accuracy, mocked = fix
    device = s.table[d]
    # a timer is due by the machine's clock sooner than was thought when this fix came faster than the last
    sooner = device.timer_ms < FAR and received_ms - time_ms < device.recv_ms - device.clock_ms
    device.clock_ms, device.fix_ms, device.recv_ms = time_ms, time_ms, received_ms
    device.lat, device.lng, device.accuracy, device.mocked = lat, lng, accuracy, mocked
    if user >= 0:
        device.user = user
    note_usable(s, asks, d, time_ms, lat, lng, accuracy)
    if sooner:
        schedule(s, d)


@inlined
def _has_room(s: State, asks: Asks, d: int, matched: int) -> bool:
    """True if whatever one fix or tick may do to a device fits: rows, and what is told."""
    most = s.table[d].rows + matched
    told = most * (asks.dwells_most + 3) + asks.crossings.size + 1
    return bool(has_room(s, most + 1) and s.book[TOLDS] + told <= s.told.size and s.book[QUEUED] < s.queue.size)
