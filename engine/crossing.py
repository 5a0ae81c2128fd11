"""Crossed: a device went through a fence between two fixes, and neither of them was in it.

Owns the limits of what is claimed. Must not know presence. The way between two fixes is straight in longitude and
latitude, the short way round. It starts at the newest fix before that any fence asked about takes: where a fence is
stricter and does not take it, nothing is claimed, since what came before that is not kept.
"""

from __future__ import annotations

from engine.kernel import inlined, kernel
from engine.layout import CROSSED, FIX, Array, Asks, State, wide
from engine.presence import is_among, tell
from geo.border import cuts
from geo.cover import covers
from geo.geodesic import inverse

#: Longer apart than this, nobody knows the way.
GAP_MS = 120_000
#: Faster than this, one of the fixes is wrong.
SPEED_MAX_M_S = 70.0


@inlined
def may_cross(s: State, asks: Asks, d: int, time_ms: int, lat: float, lng: float) -> bool:
    """True if the box round the way to a fix meets that of a fence asked about."""
    if asks.crossings.size == 0 or not 0 < time_ms - s.usable[d].time_ms <= GAP_MS:
        return False
    for box in asks.boxes:  # noqa: SIM110 # a kernel has no `any`
        if _meets(s.usable[d].lat, s.usable[d].lng, lat, lng, box):
            return True
    return False


@kernel
def tell_crossed(
    s: State, asks: Asks, d: int, time_ms: int, lat: float, lng: float, fences: Array, request: int, now_ms: int
) -> None:
    """Tell the fences crossed on the way to a fix that is in `fences`; its accuracy is the one in the table."""
    before, accuracy = s.usable[d], s.table[d].accuracy
    way_m = inverse(before.lat, before.lng, lat, lng)
    if way_m * 1000 >= SPEED_MAX_M_S * (time_ms - before.time_ms):
        return
    for at in range(asks.crossings.size):
        fence = asks.crossings[at]
        worst, row = asks.fences[fence].accuracy, wide(asks.fences[fence].border)
        if (
            _meets(before.lat, before.lng, lat, lng, asks.boxes[at])
            and not before.accuracy > worst
            and not accuracy > worst
            and not is_among(fences, fence)
            and not covers(asks.borders, row, before.lat, before.lng)
            and cuts(asks.borders, row, before.lat, before.lng, lat, lng)
        ):
            tell(s, d, CROSSED, fence, time_ms, FIX, time_ms, 0, request, now_ms)


@inlined
def note_usable(s: State, asks: Asks, d: int, time_ms: int, lat: float, lng: float, accuracy: float) -> None:
    """Note a fix that the next way may start from."""
    if asks.crossings.size > 0 and not accuracy > asks.crossing_accuracy_m:
        usable = s.usable[d]
        usable.time_ms, usable.lat, usable.lng, usable.accuracy = time_ms, lat, lng, accuracy


@inlined
def _meets(lat0: float, lng0: float, lat1: float, lng1: float, box: Array) -> bool:
    """True if the box round the way meets a box (lng lat lng lat), or the way runs over the antimeridian."""
    west, east = min(lng0, lng1), max(lng0, lng1)
    south, north = min(lat0, lat1), max(lat0, lat1)
    return bool(east - west > 180.0 or (west <= box[2] and east >= box[0] and south <= box[3] and north >= box[1]))
