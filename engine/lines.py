"""Lines of a recording as columns: those that are plain pings all at once, the others by where they stand.

Owns which plain lines are good pings and sightings; `engine/ping.py` judges all others, and would say the same of
these. Must not know files. Degrees, metres, metres a second, dBm; instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.beacons import RSSI_MAX, RSSI_MIN
from engine.ping import heard_beacon
from engine.rejection import ID_MAX
from engine.rfc3339 import FIRST_MS, LAST_MS
from engine.rows import MOST
from engine.scan import BLANK, CODES, NO_TIME, NUMBERS, ODD, PLAIN, TIMES, code_of, enter, scan
from engine.wire import NONE, Located

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

__all__ = ["BLANK", "ODD", "PLAIN", "LineReader", "Lines"]


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
        kind, begins = np.full(most, PLAIN, np.uint8), np.empty(most + 1, np.int64)
        numbers, times = np.full((len(NUMBERS), most), np.nan), np.full((len(TIMES), most), NO_TIME)
        codes, mocked = np.full((len(CODES), most), NONE, np.int32), np.zeros(most, np.uint8)
        data = np.frombuffer(text, np.uint8)
        table = self._names.table(len(CODES) * most, len(text))
        rows = scan(data, kind, begins, numbers, times, codes, mocked, table)
        self._names.grown()
        kind, begins = kind[:rows], begins[: rows + 1]
        numbers, times, codes = numbers[:, :rows], times[:, :rows], codes[:, :rows]
        if not _is_utf8(text):
            kind[np.searchsorted(begins, np.nonzero(data > 127)[0], side="right") - 1] = ODD
        codes[2] = self._names.normal_beacons(codes[2])
        kind[(kind == PLAIN) & ~_good(numbers, times, codes, self._names.long)] = ODD
        plain: Any = slice(None) if (kind == PLAIN).all() else np.nonzero(kind == PLAIN)[0]
        strings = list(self._names.strings)  # its own: whoever works these must not see the table grow
        pings = _columns(numbers[:, plain], times[:, plain], codes[:, plain], mocked[:rows][plain], strings)
        return Lines(kind, begins, pings)


class Names:
    """The names met so far, each once, by number; and the hash table in which the kernel finds them.

    `long` are the numbers of those that are too long to be ids.
    """

    def __init__(self) -> None:
        self.strings: list[str] = []
        self.long: list[int] = []
        self._slots = np.full(1, -1, np.int32)
        self._letters, self._starts = np.empty(64, np.uint8), np.zeros(64, np.int64)
        self._count = np.zeros(1, np.int64)
        self._normal: dict[int, int] = {NONE: NONE}

    def table(self, more: int, letters: int) -> tuple[Array, Array, Array, Array]:
        """What the kernel takes: with room for so many more names, of so many letters together."""
        count = int(self._count[0])
        used = int(self._starts[count])
        if used + letters > self._letters.size:
            self._letters = np.resize(self._letters, 2 * (used + letters))
        if count + more + 1 > self._starts.size:
            self._starts = np.resize(self._starts, 2 * (count + more + 1))
        grown = (self._slots, self._letters, self._starts, self._count)
        if 2 * (count + more) > self._slots.size:
            self._slots = np.full(1 << (4 * (count + more)).bit_length(), -1, np.int32)
            grown = (self._slots, *grown[1:])
            enter(grown)
        return grown

    def grown(self) -> None:
        """Take in the names that the kernel met for the first time."""
        first, count = len(self.strings), int(self._count[0])
        ends = self._starts[first : count + 1].tolist()
        letters = self._letters[ends[0] : ends[-1]].tobytes()
        for start, end in pairwise(ends):
            name = letters[start - ends[0] : end - ends[0]].decode(errors="replace")
            if len(name) > ID_MAX:
                self.long.append(len(self.strings))
            self.strings.append(name)

    def normal_beacons(self, codes: Array) -> Array:
        """The numbers of beacons in their normal form, for those as they were written; -2 for what is no beacon."""
        heard = np.unique(codes).tolist()
        if heard == [NONE]:
            return codes
        for code in heard:
            if code not in self._normal:
                normal = heard_beacon(self.strings[code])
                self._normal[code] = -2 if normal is None else self._number(normal)
        normals = np.array([self._normal[code] for code in heard], np.int32)
        return normals[np.searchsorted(heard, codes)]

    def _number(self, name: str) -> int:
        data = np.frombuffer(name.encode(), np.uint8)
        number = int(code_of(data, 0, data.size, self.table(1, data.size)))
        self.grown()
        return number


def _is_utf8(text: bytes) -> bool:
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


def _good(numbers: Array, times: Array, codes: Array, long: list[int]) -> Any:
    """Which rows are good pings or sightings, of those that are plain."""
    lat, lng, rssi = numbers[0], numbers[1], numbers[5]
    sighting = codes[2] != NONE
    heard = (codes[2] >= 0) & (rssi >= RSSI_MIN) & (rssi <= RSSI_MAX) & (rssi != 0)
    good = np.where(sighting, heard, (np.abs(lat) <= 90) & (np.abs(lng) <= 180))
    good &= (times[0] >= FIRST_MS) & (times[0] <= LAST_MS)
    good &= (times[1] == NO_TIME) | ((times[1] >= FIRST_MS) & (times[1] <= LAST_MS))
    if long:
        good &= ~np.isin(codes, long).any(axis=0)
    return good


def _columns(numbers: Array, times: Array, codes: Array, mocked: Array, strings: list[str]) -> Located:
    lat, lng, accuracy, speed, heading, rssi = numbers
    for unsigned in (accuracy, speed, heading):
        unsigned[(unsigned < 0) | (unsigned > MOST)] = np.nan
    rssi[np.abs(rssi) > MOST] = np.nan
    return Located(
        strings=strings,
        device=codes[0].tobytes(),
        user=codes[1].tobytes(),
        beacon=codes[2].tobytes(),
        time=times[0].tobytes(),
        lat=lat.tobytes(),
        lng=lng.tobytes(),
        accuracy=accuracy.tobytes(),
        speed=speed.astype(np.float32).tobytes(),
        heading=heading.astype(np.float32).tobytes(),
        rssi=rssi.astype(np.float32).tobytes(),
        mocked=mocked.tobytes(),
        borders=[mocked.size],
        received=np.where(times[1] == NO_TIME, times[0], times[1]).tobytes(),
    )
