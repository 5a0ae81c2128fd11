"""The fast path of a fix: nothing changed, so nothing is to be done but to note it.

Owns one kernel, over columns. A fix whose set of fences equals the one its device is already in, with no count running
and no timer due, is finished here and costs no Python; all others are handed on, in order. Must not know what the
machine in `engine/presence.py` does with them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

#: "Never", as an instant before all others and one after all others. They stand here since numba keeps a compiled
#: kernel for as long as its own file stays the same.
NEVER = -(2**62)
FAR = 2**62

#: What became of a row.
DONE, DUPLICATE, LATE, SLOW, AGAIN = 0, 1, 2, 3, 4


def _kernel(function: Any) -> Any:
    """Compile at the first call and keep it on disk; where no folder can be written to, each process compiles anew."""
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return njit(nogil=True)(function)


@_kernel
def sift(
    device: Any,  # int32[n] slot of each row
    user: Any,  # int32[n] number of the user named, -1: none
    sighting: Any,  # uint8[n] 1: a beacon sighting, always slow
    time_ms: Any,  # int64[n]
    received_ms: Any,  # int64[n]
    lat: Any,  # float64[n]
    lng: Any,
    accuracy: Any,
    mocked: Any,  # uint8[n]
    offsets: Any,  # int64[n + 1], the fences of each row in `fences`, ascending
    fences: Any,  # int32[m]
    accuracy_max_m: float,  # the smallest `max_accuracy` of any fence
    crossing_accuracy_m: float,  # the worst accuracy of a fix that `crossed` may start from
    boxes: Any,  # float64[k, 4] lng lat lng lat of fences that a rule asks `crossed` of
    crossing_gap_ms: int,
    held: Any,  # tuple of the device columns, see `Sieve`
    pool_fence: Any,
    pool_entered: Any,
    code: Any,  # uint8[n] out: what became of each row
) -> None:
    """Work the rows in order; set `code`. See the module's docstring."""
    clock_c, recv_c, fix_c, lat_c, lng_c, acc_c, mocked_c, um_c, ulat_c, ulng_c, uacc_c = held[:11]
    user_c, busy_c, timer_c, quiet_c, block_c, rows_c, blocked = held[11:]
    for i in range(device.size):
        d = device[i]
        if sighting[i] or blocked[d]:
            blocked[d] = 1
            code[i] = SLOW
            continue
        t = time_ms[i]
        if t <= fix_c[d]:
            code[i] = DUPLICATE if t == fix_c[d] else LATE
            continue
        first, last = offsets[i], offsets[i + 1]
        rows = rows_c[d]
        slow = busy_c[d] != 0 or last - first != rows
        if not slow and rows > 0:
            slow = accuracy[i] > accuracy_max_m or (user[i] >= 0 and user[i] != user_c[d])
            slow = slow or clock_c[d] + quiet_c[d] <= t
            for k in range(rows):
                slow = slow or pool_fence[block_c[d] + k] != fences[first + k]
        slow = slow or timer_c[d] <= t
        if not slow and boxes.shape[0] > 0 and t - um_c[d] <= crossing_gap_ms:
            slow = _may_cross(ulat_c[d], ulng_c[d], lat[i], lng[i], boxes)
        if slow:
            blocked[d] = 1
            code[i] = SLOW
            continue
        # A dwell timer is due by the machine's clock sooner than was thought when this fix came faster than the last.
        again = timer_c[d] < FAR and received_ms[i] - t < recv_c[d] - clock_c[d]
        code[i] = AGAIN if again else DONE
        if t >= clock_c[d]:
            clock_c[d] = t
            recv_c[d] = received_ms[i]
        fix_c[d], lat_c[d], lng_c[d], acc_c[d], mocked_c[d] = t, lat[i], lng[i], accuracy[i], mocked[i]
        if not accuracy[i] > crossing_accuracy_m:
            um_c[d], ulat_c[d], ulng_c[d], uacc_c[d] = t, lat[i], lng[i], accuracy[i]
        if user[i] >= 0:
            user_c[d] = user[i]


@_kernel
def _may_cross(lat0: float, lng0: float, lat1: float, lng1: float, boxes: Any) -> bool:
    """True if the box round a straight way meets one of the boxes, or the way runs over the antimeridian."""
    if abs(lng1 - lng0) > 180.0:
        return True
    west, east = min(lng0, lng1), max(lng0, lng1)
    south, north = min(lat0, lat1), max(lat0, lat1)
    for k in range(boxes.shape[0]):
        if west <= boxes[k, 2] and east >= boxes[k, 0] and south <= boxes[k, 3] and north >= boxes[k, 1]:
            return True
    return False


NO_BOXES = np.zeros((0, 4))
