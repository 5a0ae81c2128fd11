"""Presence: when a device enters, dwells at, and leaves a fence.

Owns the table below and the timers of one device's rows. Works on one device at a time, taken out of the pool
(`engine/pool.py`), on the device's own clock. Must not know users, rules, or beacon zones: of those it is told only
which fences they hold. Times are epoch milliseconds of the device, distances metres.

A fix is compared with a fence as *in* or *out* (the point) and *surely in*, *surely out* or neither (its circle):

| state      | fix                   | next       | count | told    |
|------------|-----------------------|------------|-------|---------|
| outside    | in                    | arriving   | 1     |         |
| arriving   | in, surely or n-th    | inside     | 0     | entered |
| arriving   | out                   | outside    | 0     |         |
| inside     | in, or not surely out | inside     | 0     | dwelled, if one waits and it is in |
| inside     | surely out            | leaving    | 1     |         |
| leaving    | surely out, n-th      | outside    | 0     | exited  |
| leaving    | any other             | inside     | 0     |         |

and by timers: leaving + `exit_after`: exited; inside for a rule's `for`: dwelled; any, unseen for `silence`: exited.
"""

from __future__ import annotations

from engine.kernel import inlined, kernel
from engine.layout import (
    ASIDE,
    BUSY,
    BY_TIMER,
    CALM,
    DWELLED,
    ENTERED,
    EXITED,
    FAR,
    FIX,
    NEVER,
    SIGHTING,
    SILENT,
    TOLDS,
    Array,
    Asks,
    State,
    wide,
)  # fmt: skip
from engine.pool import insert, put, remove
from geo.reach import circle_in, circle_out

#: Timers due at one instant fire in this order.
DWELL, EXIT, SILENCE = 0, 1, 2
_NO_FENCE = 2**31 - 1


@inlined
def on_fix(
    s: State, asks: Asks, d: int, n: int, held: Array, time_ms: int, fences: Array, request: int, now_ms: int
) -> int:
    """Compare a device's newest fix (`time_ms`, and the rest as the table has it) with its fences and its `n` rows.

    Timers due by then have fired, see `fire`. `fences` are those that it is in, ascending, `held` those that a zone
    holds. Returns the number of rows.
    """
    k, f = 0, 0
    while k < n or f < fences.size:
        at_row = s.rows[k].fence if k < n else _NO_FENCE
        at_fix = fences[f] if f < fences.size else _NO_FENCE
        fence = min(at_row, at_fix)
        has_row, is_in = at_row == fence, at_fix == fence
        f += is_in
        entered_ms = s.rows[k].entered_ms if has_row else NEVER
        if _is_vague(asks, fence, s.table[d].accuracy) or (entered_ms != NEVER and time_ms <= entered_ms):
            # it does not count here; or a sighting or an edit began this stay later, and it says nothing of that
            k += has_row
        elif entered_ms != NEVER:
            if _inside(s, asks, d, k, held, time_ms, is_in, request, now_ms):
                remove(s, n, k)
                n -= 1
            else:
                k += 1
        elif is_in:
            if not has_row:
                insert(s, n, k, fence, NEVER)
                n += 1
            _arriving(s, asks, d, k, time_ms, request, now_ms)
            k += 1
        else:
            remove(s, n, k)
            n -= 1
    device = s.table[d]
    device.clock_ms = max(device.clock_ms, time_ms)
    device.fix_ms = max(device.fix_ms, time_ms)
    return n


@kernel
def hold(s: State, asks: Asks, d: int, n: int, fence: int, time_ms: int, request: int, now_ms: int) -> int:
    """The device entered a zone that is inside `fence`: it is there too. Returns the number of rows."""
    k = _row_of(s, n, fence)
    if k == n or s.rows[k].fence != fence:
        insert(s, n, k, fence, NEVER)
        n += 1
    row = s.rows[k]
    row.count, row.row_ms = 0, 0
    if row.entered_ms == NEVER:
        _enter(s, d, k, time_ms, SIGHTING, request, now_ms)
    elif row.waits:
        row.waits = 0
        _tell_dwelled(s, asks, d, k, time_ms, request, now_ms)
    return n


@kernel
def release(s: State, asks: Asks, d: int, n: int, fence: int, time_ms: int, request: int, now_ms: int) -> int:
    """No zone holds the device in `fence` any more. Returns the number of rows.

    A silence that is past by then ends the stay only now: it was not exited meanwhile.
    """
    k = _row_of(s, n, fence)
    if k == n or s.rows[k].fence != fence:
        return n
    if _silent_ms(s, asks, d, k) < time_ms:
        _exit(s, d, k, time_ms, SILENT, request, now_ms)
        remove(s, n, k)
        return n - 1
    if s.rows[k].count == 0:
        s.rows[k].row_ms = time_ms
    return n


@inlined
def _row_of(s: State, n: int, fence: int) -> int:
    """Which of `n` rows is the fence's, or would be."""
    k = 0
    while k < n and s.rows[k].fence < fence:
        k += 1
    return k


@kernel
def fire(
    s: State, asks: Asks, d: int, n: int, held: Array, until_ms: int, until_rank: int, request: int, now_ms: int
) -> int:
    """Fire the timers of a device's `n` rows that are due by then, in order; returns the number of rows."""
    while True:
        due_ms, rank, k = _next_timer(s, asks, d, n, held)
        if due_ms > until_ms or (due_ms == until_ms and rank > until_rank):
            return n
        if rank == DWELL:
            _dwell(s, asks, d, k, held, due_ms, request, now_ms)
        else:
            _exit(s, d, k, due_ms, BY_TIMER if rank == EXIT else SILENT, request, now_ms)
            remove(s, n, k)
            n -= 1


@inlined
def finish(s: State, asks: Asks, d: int, n: int, held: Array) -> None:
    """Put a device's `n` rows back, with when its next timers are due and what its next fix needs."""
    device = s.table[d]
    timer_ms, silent_ms, busy = FAR, FAR, CALM
    for k in range(n):
        row = s.rows[k]
        if not is_among(held, row.fence):
            silent_ms = min(silent_ms, _silent_ms(s, asks, d, k))
            if row.entered_ms != NEVER and row.count != 0:
                timer_ms = min(timer_ms, _exit_ms(s, asks, k))
        timer_ms = min(timer_ms, _dwell_ms(s, asks, k))
        if row.entered_ms == NEVER or row.count != 0 or row.waits or row.entered_ms > device.clock_ms:
            busy = BUSY
    device.timer_ms = timer_ms
    device.quiet_ms = silent_ms - device.clock_ms if silent_ms < FAR else FAR
    # an older fix names no user, and tells of a time that the clock has passed
    device.busy = ASIDE if device.clock_ms > device.fix_ms else busy
    put(s, d, n)


# -- the table ---------------------------------------------------------------------------------------------------------


@inlined
def _is_vague(asks: Asks, fence: int, accuracy: float) -> bool:
    """True if a fix of this accuracy does not count at a fence."""
    return bool(accuracy > asks.accuracy_max_m and accuracy > asks.fences[fence].accuracy)


@inlined
def _arriving(s: State, asks: Asks, d: int, k: int, time_ms: int, request: int, now_ms: int) -> None:
    row = s.rows[k]
    row.count += 1
    if row.count >= asks.fences[row.fence].enter_fixes or _surely_in(s, asks, d, row.fence):
        _enter(s, d, k, time_ms, FIX, request, now_ms)


@inlined
def _inside(
    s: State, asks: Asks, d: int, k: int, held: Array, time_ms: int, is_in: bool, request: int, now_ms: int
) -> bool:
    """True if the device left."""
    row, device = s.rows[k], s.table[d]
    stays = is_in or is_among(held, row.fence)
    if stays or not is_surely_out(asks, row.fence, device.lat, device.lng, device.accuracy):
        row.count, row.row_ms = 0, 0
        if is_in and row.waits:
            row.waits = 0
            _tell_dwelled(s, asks, d, k, time_ms, request, now_ms)
        return False
    if row.count == 0:
        row.row_ms = time_ms
    row.count += 1
    if row.count < asks.fences[row.fence].exit_fixes:
        return False
    _exit(s, d, k, time_ms, FIX, request, now_ms)
    return True


@inlined
def _surely_in(s: State, asks: Asks, d: int, fence: int) -> bool:
    device, of = s.table[d], asks.fences[fence]
    if of.instant:
        return True
    known = device.accuracy == device.accuracy
    border, outline = wide(of.border), _outline(asks, fence)
    return bool(known and circle_in(asks.borders, border, outline, device.lat, device.lng, device.accuracy))


@inlined
def is_surely_out(asks: Asks, fence: int, lat: float, lng: float, accuracy: float) -> bool:
    """True if a fix that is out of a fence is so with its whole circle."""
    of = asks.fences[fence]
    if of.instant or accuracy != accuracy:
        return True
    return bool(circle_out(asks.borders, wide(of.border), _outline(asks, fence), lat, lng, accuracy))


@inlined
def _outline(asks: Asks, fence: int) -> tuple[int, int, int, int, int]:
    of = asks.fences[fence]
    return of.kind, wide(of.first), wide(of.last), wide(of.row), wide(of.block)


@inlined
def is_among(fences: Array, fence: int) -> bool:
    """True if a fence is one of some."""
    for other in fences:  # noqa: SIM110 # a kernel has no `any`
        if other == fence:
            return True
    return False


# -- what is told ------------------------------------------------------------------------------------------------------


@inlined
def tell(
    s: State, d: int, kind: int, place: int, time_ms: int, cause: int, entered_ms: int, dwell_ms: int, request: int,
    now_ms: int,
) -> None:  # fmt: skip
    """Note a transition of a device, with its user and its newest fix as they are now. There must be room."""
    told, device = s.told[s.book[TOLDS]], s.table[d]
    s.book[TOLDS] += 1
    told.time_ms, told.entered_ms, told.dwell_ms, told.now_ms = time_ms, entered_ms, dwell_ms, now_ms
    told.accuracy, told.mocked, told.slot, told.user = device.accuracy, device.mocked, d, device.user
    told.place, told.request, told.kind, told.cause = place, request, kind, cause


@inlined
def _enter(s: State, d: int, k: int, time_ms: int, cause: int, request: int, now_ms: int) -> None:
    row = s.rows[k]
    row.entered_ms, row.count, row.row_ms, row.dwelled_ms, row.waits = time_ms, 0, 0, 0, 0
    tell(s, d, ENTERED, row.fence, time_ms, cause, time_ms, 0, request, now_ms)


@inlined
def _exit(s: State, d: int, k: int, time_ms: int, cause: int, request: int, now_ms: int) -> None:
    row = s.rows[k]
    if row.entered_ms != NEVER:
        tell(s, d, EXITED, row.fence, time_ms, cause, row.entered_ms, 0, request, now_ms)


@kernel
def _dwell(s: State, asks: Asks, d: int, k: int, held: Array, due_ms: int, request: int, now_ms: int) -> None:
    """A dwell time is past. It is told if the device was seen lately, else at the next fix that is in."""
    row, device = s.rows[k], s.table[d]
    seen_ms = device.fix_ms
    if row.count == 0:
        seen_ms = max(seen_ms, row.row_ms)
    if due_ms - seen_ms > asks.fences[row.fence].max_silence_ms and not is_among(held, row.fence):
        row.waits = 1
    else:
        _tell_dwelled(s, asks, d, k, due_ms, request, now_ms)


@kernel
def _tell_dwelled(s: State, asks: Asks, d: int, k: int, until_ms: int, request: int, now_ms: int) -> None:
    """Tell each dwell time past by `until_ms` and not yet told."""
    row = s.rows[k]
    fence = asks.fences[row.fence]
    for at in range(fence.dwell, fence.dwell_end):
        dwell_ms = asks.dwells[at]
        if row.dwelled_ms < dwell_ms and row.entered_ms + dwell_ms <= until_ms:
            tell(s, d, DWELLED, row.fence, until_ms, BY_TIMER, row.entered_ms, dwell_ms, request, now_ms)
            row.dwelled_ms = dwell_ms


# -- timers ------------------------------------------------------------------------------------------------------------


@kernel
def _next_timer(s: State, asks: Asks, d: int, n: int, held: Array) -> tuple[int, int, int]:
    """(due, rank, row) of the timer that fires first; at equal times and ranks that of the lower fence."""
    best_ms, best_rank, best = FAR, SILENCE, 0
    for k in range(n):
        row = s.rows[k]
        if not is_among(held, row.fence):
            due_ms = _silent_ms(s, asks, d, k)
            if due_ms < best_ms:
                best_ms, best_rank, best = due_ms, SILENCE, k
            if row.entered_ms != NEVER and row.count != 0:
                due_ms = _exit_ms(s, asks, k)
                if due_ms < best_ms or (due_ms == best_ms and best_rank > EXIT):
                    best_ms, best_rank, best = due_ms, EXIT, k
        due_ms = _dwell_ms(s, asks, k)
        if due_ms < best_ms or (due_ms == best_ms and best_rank > DWELL):
            best_ms, best_rank, best = due_ms, DWELL, k
    return best_ms, best_rank, best


@inlined
def _exit_ms(s: State, asks: Asks, k: int) -> int:
    """When a row of fixes surely out ends a stay: not before a dwell that was told, if an edit made it short."""
    row = s.rows[k]
    return int(max(row.row_ms + asks.fences[row.fence].exit_after_ms, row.entered_ms + row.dwelled_ms))


@inlined
def _silent_ms(s: State, asks: Asks, d: int, k: int) -> int:
    """When silence ends a row: not before a dwell that was told, nor before an edit began it, ahead of the clock."""
    row = s.rows[k]
    silence_ms = asks.silence_ms if asks.silence_ms != NEVER else asks.fences[row.fence].silence_ms
    due_ms = s.table[d].clock_ms + silence_ms
    return int(due_ms if row.entered_ms == NEVER else max(due_ms, row.entered_ms + row.dwelled_ms))


@inlined
def _dwell_ms(s: State, asks: Asks, k: int) -> int:
    """When the next dwell time of a row is past; `FAR` when there is none, or one waits."""
    row = s.rows[k]
    if row.entered_ms == NEVER or row.waits or asks.dwells_most == 0:
        return FAR
    fence = asks.fences[row.fence]
    for at in range(fence.dwell, fence.dwell_end):
        if asks.dwells[at] > row.dwelled_ms:
            return int(row.entered_ms + asks.dwells[at])
    return FAR
