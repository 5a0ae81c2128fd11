"""Pings and sightings: from a body's bytes to columns, and the refused ones with their reasons.

Owns what a good ping is. Must not know how bodies come in, nor devices. Degrees, metres, metres a second, dBm; instants
are epoch milliseconds, UTC.

What is plain does not come here: `engine/scan.py` reads it. Of the rest, a body whose pings are all good is read in one
go by a typed decoder. Only when that fails, or a ping lies outside of the limits, is the body taken apart and judged
ping by ping: the same outcome, some ten times slower.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from math import isfinite, nan
from operator import itemgetter
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec
from msgspec.structs import astuple

from engine.beacons import RSSI_MAX, RSSI_MIN, normal_beacon
from engine.body import body_elements, check_batch, ndjson_lines
from engine.rejection import (
    ID_MAX,
    BodyError,
    RefusedError,
    Rejected,
    RejectReason,
    as_object,
    check_age,
    check_era,
    check_id,
    check_number,
    check_time,
    echoed,
    id_fault,
    refuse,
    required,
)
from engine.rfc3339 import in_era, instant_ms, instants_ms, number_ms
from engine.rows import GETTERS, Rows, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.settings import PingLimits

__all__ = ["BodyError", "Decoded", "Rejected", "Rows", "columns", "decode_pings", "judge_pings"]

FIX_NEEDS: Final = "a ping needs `device`, `time`, `lat` and `lng`"
SIGHTING_NEEDS: Final = "a sighting needs `device`, `time`, `beacon` and `rssi`"
BEACON_MEND: Final = "write `ibeacon:<uuid>:<major>:<minor>`, `eddystone:<namespace>:<instance>` or `gateway:<id>`"

_T = TypeVar("_T")

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_MAX)]


class _Ping(msgspec.Struct, gc=False):
    """A ping as it is written. `null` is as good as missing."""

    device: _Id
    time: int | float | str
    lat: Annotated[float, msgspec.Meta(ge=-90, le=90)] | None = None
    lng: Annotated[float, msgspec.Meta(ge=-180, le=180)] | None = None
    user: _Id | None = None
    beacon: str | None = None
    accuracy: float | None = None
    speed: float | None = None
    heading: float | None = None
    rssi: float | None = None
    mocked: bool | None = None


class _Recorded(_Ping, gc=False):
    """A ping of a recording, which also says when it was received."""

    received: int | float | str | None = None


_one_or_many = msgspec.json.Decoder(list[_Ping] | _Ping).decode
_one = msgspec.json.Decoder(_Ping).decode
_recorded_one_or_many = msgspec.json.Decoder(list[_Recorded] | _Recorded).decode
_recorded_one = msgspec.json.Decoder(_Recorded).decode


@dataclass(slots=True)
class Decoded:
    """What a body held: good rows, refused elements, and how many elements there were."""

    rows: Rows
    rejected: list[Rejected]
    count: int


def decode_pings(body: bytes, *, ndjson: bool, now_ms: int, limits: PingLimits, recorded: bool = False) -> Decoded:
    """The pings and sightings of a body: one object, an array, or one object a line.

    `now_ms` is when the body was received; pings older or further ahead than `limits` allow are refused. With
    `recorded` they are not judged by it, `received` is read, and the rows keep the recording's order.
    Raises `BodyError`: 400 for what is no JSON, 413 for more than `limits.max_batch` elements.

    >>> from engine.settings import PingLimits
    >>> got = decode_pings(
    ...     b'[{"device": "d-1", "time": 99.9, "lat": 35.69, "lng": 139.7}, {"device": "d-2", "time": 100, "lat": 91}]',
    ...     ndjson=False, now_ms=100, limits=PingLimits(),
    ... )
    >>> got.rows.devices, got.rows.times, got.count
    (['d-1'], [99], 2)
    >>> got.rejected[0].reason.value, got.rejected[0].detail
    ('missing_field', '`lng` is missing, a ping needs `device`, `time`, `lat` and `lng`')
    """
    pings = _typed(body, ndjson, recorded, limits.max_batch)
    if pings is not None:
        rows = _rows(pings, now_ms, limits, recorded, escaped=b"\\" in body)
        if rows is not None:
            return Decoded(rows, [], len(pings))
    elements = body_elements(body, ndjson=ndjson, what="ping", max_batch=limits.max_batch)
    return judge_pings(elements, now_ms=now_ms, limits=limits, recorded=recorded)


def judge_pings(elements: Sequence[object], *, now_ms: int, limits: PingLimits, recorded: bool = False) -> Decoded:
    """The same for values that were read already, ping by ping: the reference for `decode_pings`.

    >>> from engine.settings import PingLimits
    >>> judge_pings([{"device": "d-1"}], now_ms=0, limits=PingLimits()).rejected[0].reason.value
    'missing_field'
    """
    good: list[_Row] = []
    rejected: list[Rejected] = []
    for index, element in enumerate(elements):
        try:
            good.append(_judge(element, now_ms, limits, recorded))
        except RefusedError as error:
            rejected.append(Rejected(index, error.reason, error.detail, echoed(element)))
    if not recorded:
        good.sort(key=_time_of)
    return Decoded(_transposed(good) if good else Rows(), rejected, len(elements))


# -- all at once ---------------------------------------------------------------------------------------------------

#: One row as it comes out of a struct: in the order of the fields of `Rows`.
_Row = tuple[Any, ...]


def _typed(body: bytes, ndjson: bool, recorded: bool, max_batch: int) -> Sequence[_Ping] | None:
    """The pings of a body in which nothing is wrong with any of them as far as types go; else None."""
    try:
        if not body.isascii():
            body.decode()  # what the decoder skips it does not look at
        if ndjson:
            lines = ndjson_lines(body, "ping")
            check_batch(len(lines), max_batch, "ping")
            return list(map(_recorded_one if recorded else _one, lines))
        pings: list[_Ping] | _Ping = _recorded_one_or_many(body) if recorded else _one_or_many(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(pings, _Ping):
        return (pings,)
    check_batch(len(pings), max_batch, "ping")
    return pings


def _rows(pings: Sequence[_Ping], now_ms: int, limits: PingLimits, recorded: bool, *, escaped: bool) -> Rows | None:
    """The rows of well-typed pings, None if any of them must be refused."""
    if not pings:
        return Rows()
    rows = _transposed([astuple(ping) for ping in pings])
    if not _times(rows) or (escaped and not _plain_ids(rows)) or not _places(rows):
        return None
    times = rows.times
    if recorded:
        return rows if all(map(in_era, chain(times, filter(None, rows.received)))) else None
    if min(times) < now_ms - limits.max_age_ms or max(times) > now_ms + limits.max_ahead_ms:
        return None
    return rows if len(times) == 1 or times == sorted(times) else _by_time(rows)


def _transposed(rows: Sequence[_Row]) -> Rows:
    return Rows(*map(list, zip(*rows, strict=True)))


def _times(rows: Rows) -> bool:
    """Make the times epoch milliseconds. False when one is none."""
    times: list[Any] = rows.times
    kinds = set(map(type, times))
    if kinds != {int}:
        found = instants_ms(times) if kinds == {str} else [_time_ms(time) for time in times]
        times[:] = found
        if None in times:
            return False
    received: list[Any] = rows.received
    if received:
        rows.received = [None if value is None else _time_ms(value) for value in received]
        return all(now is not None or was is None for now, was in zip(rows.received, received, strict=True))
    return True


def _time_ms(value: float | str) -> int | None:
    if isinstance(value, str):
        return instant_ms(value)
    if isinstance(value, int):
        return value  # one too large for a float is no float
    return number_ms(value) if isfinite(value) else None


def _plain_ids(rows: Rows) -> bool:
    """A body with escapes may hold control characters; the decoder lets no other ones through."""
    return not any(map(id_fault, chain(rows.devices, filter(None, rows.users))))


def _places(rows: Rows) -> bool:
    """Sort fixes from sightings. False when one is neither."""
    count, beacons = len(rows), rows.beacons
    if beacons.count(None) == count:
        return rows.lats.count(None) == rows.lngs.count(None) == 0  # type: ignore[arg-type] # missing ones
    for i, beacon in enumerate(beacons):
        if beacon is not None:
            normal, rssi = heard_beacon(beacon), rows.rssis[i]
            if normal is None or rssi is None or not _is_rssi(rssi):
                return False
            beacons[i], rows.lats[i], rows.lngs[i] = normal, nan, nan
        elif rows.lats[i] is None or rows.lngs[i] is None:
            return False
    return True


@lru_cache(maxsize=16_384)
def heard_beacon(beacon: str) -> str | None:
    """The normal form of a beacon that was heard; None for what is no beacon, or a pattern of many."""
    normal = None if id_fault(beacon) else normal_beacon(beacon)
    return None if normal is None or normal.endswith("*") else normal


def _is_rssi(rssi: float) -> bool:
    # Receivers say 0 or 127 when they do not know: taken for a strength, it would beat every other beacon.
    return RSSI_MIN <= rssi <= RSSI_MAX and rssi != 0


def _by_time(rows: Rows) -> Rows:
    ordered = itemgetter(*sorted(range(len(rows)), key=rows.times.__getitem__))
    return Rows(*(list(ordered(column)) if (column := get(rows)) else [] for get in GETTERS))


# -- one by one ----------------------------------------------------------------------------------------------------


def _time_of(row: _Row) -> int:
    time_ms: int = row[1]
    return time_ms


def _judge(element: object, now_ms: int, limits: PingLimits, recorded: bool) -> _Row:
    """One element as a row. Raises `RefusedError`."""
    ping = as_object(element, "`device`, `time`, `lat` and `lng`")
    beacon = ping.get("beacon")
    fix = beacon is None and (ping.get("rssi") is None or ping.get("lat") is not None or ping.get("lng") is not None)
    required(
        ping,
        ("device", "time", "lat", "lng") if fix else ("device", "time", "beacon", "rssi"),
        FIX_NEEDS if fix else SIGHTING_NEEDS,
    )
    device = check_id("device", ping["device"])
    user = None if ping.get("user") is None else check_id("user", ping["user"])
    time_ms = check_time("time", ping["time"])
    numbers = [_optional(ping, name, check_number) for name in ("accuracy", "speed", "heading", "rssi")]
    mocked = ping.get("mocked")
    if mocked is not None and not isinstance(mocked, bool):
        raise refuse(RejectReason.WRONG_TYPE, "mocked", "must be true or false", mocked)
    lat, lng = _optional(ping, "lat", check_number), _optional(ping, "lng", check_number)
    _check_degrees("lat", lat, 90, "is it swapped with `lng`?")
    _check_degrees("lng", lng, 180, "longitudes go from -180 to 180")
    if beacon is not None:
        beacon, lat, lng = _check_beacon(beacon), nan, nan
        _check_rssi(numbers[3])
    row = (device, time_ms, lat, lng, user, beacon, *numbers, mocked)
    if not recorded:
        check_age(time_ms, now_ms, max_age_ms=limits.max_age_ms, max_ahead_ms=limits.max_ahead_ms)
        return row
    check_era("time", time_ms)
    received_ms = _optional(ping, "received", check_time)
    if received_ms is not None:
        check_era("received", received_ms)
    return (*row, received_ms)


def _optional(ping: dict[str, Any], name: str, check: Callable[[str, object], _T]) -> _T | None:
    value = ping.get(name)
    return None if value is None else check(name, value)


def _check_degrees(name: str, degrees: float | None, most: int, mend: str) -> None:
    if degrees is not None and not -most <= degrees <= most:
        raise refuse(RejectReason.OUT_OF_RANGE, name, f"must be from -{most} to {most} degrees", degrees, mend)


def _check_rssi(rssi: float | None) -> None:
    if rssi is None or not _is_rssi(rssi):
        wrong = f"must be from {RSSI_MIN:g} to {RSSI_MAX:g} dBm, and not 0"
        raise refuse(RejectReason.OUT_OF_RANGE, "rssi", wrong, rssi, "leave out a sighting of unknown strength")


def _check_beacon(beacon: object) -> str:
    if not isinstance(beacon, str):
        raise refuse(RejectReason.WRONG_TYPE, "beacon", "must be a text", beacon, BEACON_MEND)
    normal = heard_beacon(beacon)
    if normal is None:
        raise refuse(RejectReason.OUT_OF_RANGE, "beacon", "must be one beacon's id", beacon, BEACON_MEND)
    return normal
