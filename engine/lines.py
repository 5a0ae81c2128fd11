"""Lines of a recording as columns: those that are plain pings all at once, the others by where they stand.

Owns which plain lines are good pings and sightings; `engine/ping.py` judges all others, and would say the same of
these. Must not know files. Degrees, metres, metres a second, dBm; instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.names import NO_BEACON, Names, is_utf8
from engine.rfc3339 import FIRST_MS, LAST_MS
from engine.scan import BLANK, ODD, PING, PLAIN, scan_lines
from engine.scan_values import NO_TIME
from engine.wire import COLUMNS, Located

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

__all__ = ["BLANK", "ODD", "PLAIN", "LineReader", "Lines"]

#: Names in one plain line.
_NAMES_EACH = 3


@dataclass(frozen=True, slots=True)
class Lines:
    """Some lines. `kind[i]` is what line i is: PLAIN, ODD or BLANK; it stands at `begins[i] : begins[i + 1]`.

    `pings` has one row for each plain line, in their order.
    """

    kind: Array
    begins: Array
    pings: Located


class LineReader:
    r"""Reads the lines of a recording, many at a time; its devices, users and beacons are numbered throughout.

    >>> lines = LineReader().read(b'{"device": "d", "time": 5, "lat": 1, "lng": 2.5}\n{"lat": 1}\n')
    >>> lines.kind.tolist(), lines.pings.strings, lines.pings.column("lng").tolist()
    ([0, 1], ['d'], [2.5])
    """

    def __init__(self) -> None:
        self._names = Names()

    def read(self, text: bytes) -> Lines:
        """Some whole lines."""
        most = text.count(b"\n") + 1
        kind, begins, rows = np.full(most, PLAIN, np.uint8), np.empty(most + 1, np.int64), np.empty(most, PING)
        data = np.frombuffer(text, np.uint8)
        table = self._names.room(_NAMES_EACH * most, len(text))
        count = scan_lines(data, kind, begins, rows, *table, FIRST_MS, LAST_MS, True)
        self._names.grown()
        kind, begins = kind[:count], begins[: count + 1]
        if not is_utf8(text):
            kind[np.searchsorted(begins, np.nonzero(data > 127)[0], side="right") - 1] = ODD
        rows = rows[:count] if (kind == PLAIN).all() else rows[:count][kind == PLAIN]
        beacons = rows["beacon"] = self._names.normal_beacons(rows["beacon"])
        if (beacons == NO_BEACON).any():
            kind[np.nonzero(kind == PLAIN)[0][beacons == NO_BEACON]] = ODD
            rows = rows[beacons != NO_BEACON]
        rows["received"] = np.where(rows["received"] == NO_TIME, rows["time"], rows["received"])
        columns: dict[str, Any] = {name: rows[name].tobytes() for name in COLUMNS}
        return Lines(kind, begins, Located(strings=self._names.strings, borders=[rows.size], **columns))
