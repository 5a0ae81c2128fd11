"""Bodies of pings as they come in: plain ones all at once, the others as `engine/ping.py` has them.

Owns which bodies of plain pings are good; of these `engine/ping.py` would say the same. Instants are epoch
milliseconds, UTC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from engine.names import NO_BEACON, Names, is_utf8
from engine.ping import decode_pings
from engine.pings import Pings, pings_of
from engine.scan import ID_MAX, ODD, PING, PLAIN, SHORTEST, scan_body, scan_lines

if TYPE_CHECKING:
    from engine.rejection import Rejected
    from engine.settings import PingLimits

    Array = np.ndarray[Any, Any]

#: A table of more names, or of more letters, is given up for an empty one: names of strangers must not fill the memory.
NAMES_MAX: Final = 1 << 18
LETTERS_MAX: Final = 1 << 24
_NAMES_EACH: Final = 3
_FAR_MS: Final = 1 << 60


class Taken(msgspec.Struct, frozen=True):
    """What a body held: good pings, refused elements, and how many elements there were."""

    pings: Pings
    rejected: list[Rejected]
    count: int


class PingReader:
    """Reads bodies; the names of devices, users and beacons are numbered throughout.

    >>> from engine.settings import PingLimits
    >>> body = b'[{"device": "d-1", "time": 99, "lat": 35.69, "lng": 139.7}, {"device": "d-2", "time": 100, "lat": 91}]'
    >>> taken = PingReader().read(body, ndjson=False, now_ms=100, limits=PingLimits())
    >>> taken.pings.devices, taken.pings.times, taken.count, taken.rejected[0].reason.value
    (['d-1'], [99], 2, 'missing_field')
    """

    def __init__(self) -> None:
        self._names = Names()
        self._rows = np.empty(0, PING)

    def read(self, body: bytes, *, ndjson: bool, now_ms: int, limits: PingLimits) -> Taken:
        """The pings and sightings of a body: one object, an array, or one object a line.

        `now_ms` is when the body was received; pings older or further ahead than `limits` allow are refused.
        Raises `BodyError`: 400 for what is no JSON, 413 for more than `limits.max_batch` elements.
        """
        pings = self.plain(body, ndjson=ndjson, now_ms=now_ms, limits=limits)
        if pings is not None:
            return Taken(pings, [], len(pings))
        decoded = decode_pings(body, ndjson=ndjson, now_ms=now_ms, limits=limits)
        return Taken(pings_of(decoded.rows), decoded.rejected, decoded.count)

    def plain(self, body: bytes, *, ndjson: bool, now_ms: int, limits: PingLimits) -> Pings | None:
        """The same for a body of nothing but plain good pings; None for any other, which may be good all the same."""
        if not body or not is_utf8(body):
            return None
        first_ms, last_ms = max(now_ms - limits.max_age_ms, -_FAR_MS), min(now_ms + limits.max_ahead_ms, _FAR_MS)
        most = body.count(b"\n") + 1 if ndjson else min(len(body) // SHORTEST + 1, limits.max_batch)
        if most > limits.max_batch + 1:
            return None
        pings = self._scan(body, ndjson, most, (first_ms, last_ms))
        return pings if pings is None or len(pings) <= limits.max_batch else None

    def _scan(self, body: bytes, ndjson: bool, most: int, between_ms: tuple[int, int]) -> Pings | None:
        """The pings of a body of so many at most."""
        if len(self._names.strings) > NAMES_MAX or self._names.letters > LETTERS_MAX:
            self._names = Names()  # whatever waits yet keeps the old one
        table = self._names.room(_NAMES_EACH * most, min(len(body), _NAMES_EACH * ID_MAX * most))
        data = np.frombuffer(body, np.uint8)
        if ndjson:
            rows = _of_lines(data, most, table, between_ms)
            heard = ascending = False
        else:
            if most > self._rows.size:
                self._rows = np.empty(2 * most, PING)
            count, ascending, heard = scan_body(data, self._rows[:most], *table, *between_ms)
            rows = self._rows[:count]
        self._names.grown()
        if not rows.size or ((heard or ndjson) and not self._has_beacons(rows)):
            return None
        if not ascending:
            rows = rows[np.argsort(rows["time"], kind="stable")]
        return Pings(rows.tobytes(), self._names.strings)

    def _has_beacons(self, rows: Array) -> bool:
        """Have beacons in their normal form. False when one of them is none."""
        rows["beacon"] = self._names.normal_beacons(rows["beacon"])
        return bool((rows["beacon"] != NO_BEACON).all())


def _of_lines(data: Array, most: int, table: tuple[Array, ...], between_ms: tuple[int, int]) -> Array:
    """The rows of lines, none when one of them is not plain."""
    kind, begins, rows = np.full(most, PLAIN, np.uint8), np.empty(most + 1, np.int64), np.empty(most, PING)
    count = scan_lines(data, kind, begins, rows, *table, *between_ms, False)
    kind, rows = kind[:count], rows[:count]
    return rows[:0] if (kind == ODD).any() else rows[kind == PLAIN]
