"""Rows of good pings and sightings, and the columns that the journal and the fold take them in.

Owns how many requests become one input. Must not know how rows were made. Degrees, metres, metres a second, dBm;
instants are epoch milliseconds, UTC.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, fields
from itertools import accumulate, chain
from math import nan
from operator import attrgetter
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.wire import NONE, Located

if TYPE_CHECKING:
    from collections.abc import Sequence


#: No speed, heading or strength of anything is larger: the largest float32.
MOST: Final = 3.4028234663852886e38
#: From so many values on an array of numpy's is quicker.
_MANY: Final = 64


@dataclass(slots=True)
class Rows:
    """Good pings and sightings of one request, as parallel lists, in the order in which they are worked.

    That is the order of `times`; at equal times the first in the body comes first. Rows of a recording stay in the
    recording's order, and have `received` (None where it does not say).

    Of a fix, `beacons` is None; of a sighting, `lats` and `lngs` are NaN. `accuracies`, `speeds` and `headings` are as
    they were sent: None, NaN or negative is unknown, `columns` makes all of these NaN.
    """

    devices: list[str] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    lats: list[float] = field(default_factory=list)
    lngs: list[float] = field(default_factory=list)
    users: list[str | None] = field(default_factory=list)
    beacons: list[str | None] = field(default_factory=list)
    accuracies: list[float | None] = field(default_factory=list)
    speeds: list[float | None] = field(default_factory=list)
    headings: list[float | None] = field(default_factory=list)
    rssis: list[float | None] = field(default_factory=list)
    mocked: list[bool | None] = field(default_factory=list)
    received: list[int | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.times)


#: One for each list of `Rows`, in their order.
GETTERS: Final = tuple(attrgetter(f.name) for f in fields(Rows))


def columns(requests: Sequence[Rows]) -> Located:
    """The rows of many requests as one input of the fold, with the requests' borders.

    >>> rows = Rows(["d"], [5], [1.0], [2.0], ["u"], [None], [-1.0], [None], [nan], [None], [None])
    >>> located = columns([rows, rows])
    >>> located.strings, located.column("user").tolist(), located.column("accuracy").tolist(), located.borders
    (['d', 'u'], [1, 1], [nan, nan], [1, 2])
    """
    if len(requests) == 1:
        whole = requests[0]
    else:
        whole = Rows(*(list(chain.from_iterable(map(get, requests))) for get in GETTERS))
    count = len(whole)
    number: dict[str | None, int] = {None: NONE}
    heard = whole.beacons.count(None) != count
    return Located(
        device=_codes(whole.devices, number),
        user=_codes(whole.users, number),
        beacon=_codes(whole.beacons, number) if heard else array("i", (NONE,)).tobytes() * count,
        strings=list(number)[1:],  # type: ignore[arg-type] # None was the first
        time=array("q", whole.times).tobytes(),
        lat=array("d", whole.lats).tobytes(),
        lng=array("d", whole.lngs).tobytes(),
        accuracy=_numbers("d", whole.accuracies),
        speed=_numbers("f", whole.speeds),
        heading=_numbers("f", whole.headings),
        rssi=_numbers("f", whole.rssis, least=-MOST),
        mocked=_flags(whole.mocked),
        borders=list(accumulate(map(len, requests))),
        received=_received(whole.times, whole.received) if whole.received else b"",
    )


def _codes(strings: list[str | None] | list[str], number: dict[str | None, int]) -> bytes:
    """The numbers of strings; those that are new get the next ones."""
    numbered = number.setdefault
    return array("i", [numbered(s, len(number) - 1) for s in strings]).tobytes()


def _numbers(code: str, values: list[float | None], least: float = 0.0) -> bytes:
    """A column of numbers. NaN for None, for what is below `least`, and for what a float32 cannot hold."""
    if values.count(None) == len(values):
        return array(code, (nan,)).tobytes() * len(values)
    if len(values) < _MANY:
        return array(code, [nan if x is None or not least <= x <= MOST else x for x in values]).tobytes()
    numbers = np.array(values, np.float64)  # None becomes NaN
    numbers[(numbers < least) | (numbers > MOST)] = nan
    return numbers.astype(code).tobytes()


def _flags(values: list[bool | None]) -> bytes:
    """A column of flags; None is False."""
    return bytes(map(bool, values)) if None in values else bytes(values)  # type: ignore[arg-type] # no None


def _received(times: list[int], received: list[int | None]) -> bytes:
    return array("q", [t if r is None else r for t, r in zip(times, received, strict=True)]).tobytes()
