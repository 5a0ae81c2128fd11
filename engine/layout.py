"""How the state of all devices lies in memory: records in arrays, which the kernels read and write.

Owns the layout. Must not know what the fields mean to presence: `engine/presence.py` does. Instants are epoch
milliseconds of the device, unless a field says otherwise.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

#: Makes a number of a record as wide as all others: kernels are compiled for each width they are called with.
wide: Any = np.int64

#: "Never", as an instant before all others and one after all others.
NEVER = -(2**62)
FAR = 2**62
#: No note, no block, no place: the end of a list.
NONE = -1

#: What the next fix of a device needs: a look at its fences, the table of presence, or the zones that it hears too.
CALM, BUSY, ASIDE = 0, 1, 2

DEVICE = np.dtype(
    [
        ("clock_ms", np.int64),  # time of the newest fix or sighting
        ("recv_ms", np.int64),  # when that was received, by the machine's clock
        ("fix_ms", np.int64),  # time of the newest fix
        ("lat", np.float64),
        ("lng", np.float64),
        ("accuracy", np.float64),
        ("timer_ms", np.int64),  # earliest timer of its rows and zones; silence apart
        ("quiet_ms", np.int64),  # shortest silence that ends one of its rows
        ("user", np.int32),  # number of the user, NONE: the device's own id
        ("block", np.int32),  # its rows: pool[block : block + rows]
        ("rows", np.int32),
        ("size", np.uint8),  # the size of its block, see `SIZES`; 0: it has none
        ("mocked", np.uint8),
        ("busy", np.uint8),  # CALM, BUSY or ASIDE
    ],
    align=True,
)
STRANGER = np.array([(NEVER, NEVER, NEVER, np.nan, np.nan, np.nan, FAR, FAR, NONE, 0, 0, 0, 0, CALM)], DEVICE)
"""A device that was never heard of."""

#: One device at one fence, as it is kept: most have nothing but when they entered (NEVER: not yet).
ROW = np.dtype([("entered_ms", np.int64), ("fence", np.int32), ("note", np.int32)], align=True)
#: What few rows have: see `WORK`.
NOTE = np.dtype([("row_ms", np.int64), ("dwelled_ms", np.int64), ("count", np.int32), ("waits", np.uint8)], align=True)
#: One device at one fence, as it is worked on. `count` counts fixes in a row: those in, while it has not entered; then
#: those surely out, the first of them at `row_ms`. Where it is 0, `row_ms` is until when a zone held it there, which
#: counts as a fix (0: none did since its newest fix). `dwelled_ms` is the longest dwell time told (or skipped), `waits`
#: says that one is past but the device had been silent: the next fix that is in tells it.
WORK = np.dtype(
    [
        ("entered_ms", np.int64), ("row_ms", np.int64), ("dwelled_ms", np.int64), ("fence", np.int32),
        ("count", np.int32), ("waits", np.uint8),
    ],
    align=True,
)  # fmt: skip

#: The fix that the next way starts from, for `crossed`; kept only while a rule asks for it.
USABLE = np.dtype([("time_ms", np.int64), ("lat", np.float64), ("lng", np.float64), ("accuracy", np.float64)])
NO_USABLE = np.array([(NEVER, np.nan, np.nan, np.nan)], USABLE)

#: One timer, by the machine's clock.
TIMER = np.dtype([("due_ms", np.int64), ("slot", np.int32)], align=True)

#: One thing told. Of a change of hands (MOVED) `place` is the number of the new user; one WITH for each place that the
#: device is at follows it.
TOLD = np.dtype(
    [
        ("time_ms", np.int64), ("entered_ms", np.int64), ("dwell_ms", np.int64), ("now_ms", np.int64),
        ("accuracy", np.float64), ("slot", np.int32), ("user", np.int32), ("place", np.int32), ("request", np.int32),
        ("kind", np.uint8), ("cause", np.uint8), ("mocked", np.uint8),
    ],
    align=True,
)  # fmt: skip
#: In the order in which they are told, at one instant of one device.
MOVED, WITH, DWELLED, EXITED, ENTERED, CROSSED = range(6)
FIX, BY_TIMER, SILENT, EDITED, SIGHTING = range(5)

#: The sizes of blocks in the pool; a device has the smallest that holds its rows.
SIZES = np.array([0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, *(64 << k for k in range(16))], np.int64)

#: Places in `State.book`.
POOL_USED, NOTES_USED, NOTES_FREE, QUEUED, TOLDS = range(5)


class State(NamedTuple):
    """The arrays. The first three have one entry a slot; `usable` has none while nothing asks for it.

    `free[size]` is the first free block of each size, the next stands in its first row's `note`; free notes are linked
    by `count`. `queue` is a heap, `due[slot]` the valid timer of each device in it (FAR: none). `told` and `rows` are
    used within a step only.
    """

    table: Array
    due: Array
    aside: Array
    usable: Array
    pool: Array
    notes: Array
    free: Array
    book: Array
    queue: Array
    told: Array
    rows: Array


#: What presence asks of a fence. `accuracy` is the worst that counts, `dwells[dwell : dwell_end]` are the `for` times,
#: `border` is its row in `Asks.borders`, the last five are its outline. All of it is one line of the processor's cache.
FENCE = np.dtype(
    [
        ("exit_after_ms", np.int64), ("silence_ms", np.int64), ("max_silence_ms", np.int64), ("accuracy", np.float64),
        ("dwell", np.int32), ("dwell_end", np.int32), ("border", np.int32), ("enter_fixes", np.uint8),
        ("exit_fixes", np.uint8), ("instant", np.uint8), ("kind", np.uint8), ("first", np.int32), ("last", np.int32),
        ("row", np.int32), ("block", np.int32),
    ],
    align=True,
)  # fmt: skip


class Asks(NamedTuple):
    """What the places of a site ask of presence, by number.

    `accuracy_max_m` is the worst accuracy that all fences take, `silence_ms` the silence that ends a stay at any of
    them, NEVER where they differ: presence looks at a fence only where it must. `crossings` are the fences that a rule
    asks `crossed` of, `boxes` the boxes round them (lng lat lng lat), `crossing_accuracy_m` the worst accuracy that any
    of them takes. `dwells_most` is the largest number of `for` times of one fence.
    """

    fences: Array
    dwells: Array
    dwells_most: int
    accuracy_max_m: float
    silence_ms: int
    crossings: Array
    boxes: Array
    crossing_accuracy_m: float
    borders: Any
