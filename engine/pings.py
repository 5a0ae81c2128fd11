"""Good pings and sightings of one request, and how those of many requests become one input of the fold.

Owns the form in which they wait: one record each, with names by number in a table that requests share. Must not know
how they were read.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.rows import columns
from engine.scan import PING
from engine.scan_values import NO_TIME, number_anew
from engine.wire import COLUMNS, NONE, Located

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.rows import Rows

    Array = np.ndarray[Any, Any]

_SIZE = PING.itemsize
#: A record begins with the time, when it was received, lat, lng and accuracy, of 8 bytes each; then come, of 4 bytes
#: each, speed, heading and rssi, and the numbers of three names; at last a flag.
_WORDS, _HALVES, _CODES = 5, 6, 3
_FLAG_AT = 8 * _WORDS + 4 * _HALVES


class Pings(msgspec.Struct, frozen=True, gc=False):
    """Good pings and sightings of one request, in the order in which they are worked: that of their time.

    `packed` are their records, of `scan.PING`. `strings` is the table that their names are numbers of; it may grow.
    """

    packed: bytes
    strings: list[str]

    def __len__(self) -> int:
        return len(self.packed) // _SIZE

    @property
    def rows(self) -> Array:
        """The records, read-only."""
        return np.frombuffer(self.packed, PING)

    @property
    def devices(self) -> list[str]:
        """The device of each."""
        return [self.strings[number] for number in self.rows["device"].tolist()]

    @property
    def times(self) -> list[int]:
        """The time of each, in epoch milliseconds."""
        times: list[int] = self.rows["time"].tolist()
        return times


def pings_of(rows: Rows) -> Pings:
    """Rows of one request that were judged one by one."""
    located = columns([rows])
    pings = np.empty(len(rows), PING)
    pings["received"] = NO_TIME
    for name in COLUMNS:
        if name != "received":
            pings[name] = located.column(name)
    return Pings(pings.tobytes(), located.strings)


def located(requests: Sequence[Pings]) -> Located:
    """The pings of some requests as one input of the fold, with the requests' borders.

    >>> from math import nan
    >>> from engine.rows import Rows
    >>> pings = pings_of(Rows(["d"], [5], [1.0], [2.0], ["u"], [None], [-1.0], [None], [nan], [None], [None]))
    >>> got = located([pings, pings])
    >>> got.strings, got.column("user").tolist(), got.column("lat").tolist(), got.borders
    (['d', 'u'], [1, 1], [1.0, 1.0], [1, 2])
    """
    packed = requests[0].packed if len(requests) == 1 else b"".join([pings.packed for pings in requests])
    count = len(packed) // _SIZE
    # all parts of one size change places at once: a call for each would be dear where requests are small
    words = np.frombuffer(packed, np.int64).reshape(count, _SIZE // 8)[:, :_WORDS].T.tobytes()
    halves = np.frombuffer(packed, np.int32).reshape(count, _SIZE // 4)[:, 2 * _WORDS : 2 * _WORDS + _HALVES].T
    numbers = halves[:_CODES].tobytes()
    codes, strings = _named(halves[_CODES:].flatten(), requests)
    named, w, h = codes.tobytes(), 8 * count, 4 * count
    return Located(
        strings, named[:h], named[h : 2 * h], named[2 * h :],
        words[:w], words[2 * w : 3 * w], words[3 * w : 4 * w], words[4 * w :],
        numbers[:h], numbers[h : 2 * h], numbers[2 * h :], packed[_FLAG_AT::_SIZE],
        list(accumulate([len(pings.packed) // _SIZE for pings in requests])),
    )  # fmt: skip


def _named(codes: Array, requests: Sequence[Pings]) -> tuple[Array, list[str]]:
    """New numbers for the names of some requests, one column after the other, and these names."""
    tables = [requests[0].strings]
    if len(requests) > 1:
        tables = list({id(pings.strings): pings.strings for pings in requests}.values())
    if len(tables) > 1:
        # the numbers of each table go on where those of the one before it end
        before = dict(zip(map(id, tables), accumulate(map(len, tables), initial=0), strict=False))
        shift = np.repeat([before[id(pings.strings)] for pings in requests], [len(pings) for pings in requests])
        codes = np.where(codes == NONE, NONE, codes + np.tile(shift, _CODES)).astype(np.int32)
    order = np.empty(codes.size, np.int32)
    count = number_anew(codes, order, np.full(1 << (2 * codes.size).bit_length(), NONE, np.int32))
    strings = tables[0] if len(tables) == 1 else [name for table in tables for name in table]
    names = [strings[number] for number in order[:count].tolist()]
    if len(tables) > 1:
        once: dict[str, int] = {}
        codes = np.array([*(once.setdefault(name, len(once)) for name in names), NONE], np.int32)[codes]
        names = list(once)
    return codes, names
