"""Good pings and sightings of one request, and how those of many requests become one input of the fold.

Owns the form in which they wait: one record each, with names by number in a table that requests share. Must not know
how they were read.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from msgspec.structs import replace

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

    Its names are numbers of the table that the requests share, which may hold many others: the fold knows such a table
    again. `with_own_names` makes of it what is kept.

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
    codes, strings = halves[_CODES:], requests[0].strings
    if any(pings.strings is not strings for pings in requests):
        codes, strings = _joined(codes, requests)
    named, w, h = codes.tobytes(), 8 * count, 4 * count
    return Located(
        strings, named[:h], named[h : 2 * h], named[2 * h :],
        words[:w], words[2 * w : 3 * w], words[3 * w : 4 * w], words[4 * w :],
        numbers[:h], numbers[h : 2 * h], numbers[2 * h :], packed[_FLAG_AT::_SIZE],
        list(accumulate([len(pings.packed) // _SIZE for pings in requests])),
    )  # fmt: skip


def with_own_names(item: Located) -> Located:
    """The same with a table of the names of its rows alone, in the order in which they come: first all devices.

    >>> got = with_own_names(located([Pings(np.zeros(1, PING).tobytes(), ["d", "somebody else"])]))
    >>> got.strings, got.column("user").tolist()
    (['d'], [0])
    """
    codes = np.frombuffer(bytearray(item.device + item.user + item.beacon), np.int32)
    size = len(item.device)
    order, strings = _numbered(codes), item.strings
    named = codes.tobytes()
    return replace(
        item,
        strings=[strings[number] for number in order.tolist()],
        device=named[:size],
        user=named[size : 2 * size],
        beacon=named[2 * size :],
    )


def _joined(codes: Array, requests: Sequence[Pings]) -> tuple[Array, list[str]]:
    """Numbers of one table for the names of requests that have several tables, and that table."""
    tables = list({id(pings.strings): pings.strings for pings in requests}.values())
    # the numbers of each table go on where those of the one before it end
    before = list(accumulate(map(len, tables), initial=0))
    first = dict(zip(map(id, tables), before, strict=False))
    shift = np.repeat([first[id(pings.strings)] for pings in requests], [len(pings) for pings in requests])
    codes = np.ascontiguousarray(np.where(codes == NONE, NONE, codes + shift), np.int32)
    order = _numbered(codes)
    table = np.searchsorted(before, order, side="right") - 1
    names = [tables[t][n - before[t]] for t, n in zip(table.tolist(), order.tolist(), strict=True)]
    once: dict[str, int] = {}
    anew = np.array([*(once.setdefault(name, len(once)) for name in names), NONE], np.int32)
    return anew[codes], list(once)


def _numbered(codes: Array) -> Array:
    """Number names in the order in which they come, in place; returns the old number of each new one."""
    flat = codes.reshape(-1)
    order = np.empty(flat.size, np.int32)
    count = number_anew(flat, order, np.empty(1 << (2 * flat.size).bit_length(), np.int32))
    return order[:count]
