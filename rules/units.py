"""Quantities as people write them: durations, distances, sizes, times of day, dates, instants.

Owns the notation; a unit is always required, for `5` may be seconds to one reader and minutes to the next.
Every `parse_` function returns None for what it does not understand. Must not know files or positions.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Final

DAY_MS: Final = 86_400_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_DURATION_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": DAY_MS}
_DISTANCE_M = {"m": 1.0, "km": 1_000.0}
_SIZE_BYTES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

# Each notation is one pattern: parsed by it here, and shown to editors by the JSON Schema.
DURATION: Final = r"^([0-9]{1,12})(ms|s|m|h|d)$"
DISTANCE: Final = r"^([0-9]{1,9}(?:\.[0-9]{1,6})?)(m|km)$"
SIZE: Final = r"^([0-9]{1,9})(B|KiB|MiB|GiB)$"
TIME_OF_DAY: Final = r"^(?:([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?|24:00)$"
DATE: Final = r"^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])$"
INSTANT: Final = (
    r"^([0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))"
    r"(?:[T ]((?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?)(?:\.([0-9]{1,9}))?"
    r"(Z|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_duration = re.compile(DURATION)
_distance = re.compile(DISTANCE)
_size = re.compile(SIZE)
_time = re.compile(TIME_OF_DAY)
_date = re.compile(DATE)
_instant = re.compile(INSTANT)


def parse_duration(text: str) -> int | None:
    """Milliseconds of `500ms 30s 5m 2h 7d`. `m` is minutes.

    >>> parse_duration("5m"), parse_duration("5")
    (300000, None)
    """
    found = _duration.fullmatch(text)
    return int(found[1]) * _DURATION_MS[found[2]] if found else None


def parse_distance(text: str) -> float | None:
    """Metres of `50m 1.2km`. `m` is metres.

    >>> parse_distance("1.2km")
    1200.0
    """
    found = _distance.fullmatch(text)
    return float(found[1]) * _DISTANCE_M[found[2]] if found else None


def parse_size(text: str) -> int | None:
    """Bytes of `512B 64KiB 1MiB`.

    >>> parse_size("1MiB")
    1048576
    """
    found = _size.fullmatch(text)
    return int(found[1]) * _SIZE_BYTES[found[2]] if found else None


def parse_time_of_day(text: str) -> int | None:
    """Milliseconds after local midnight of `17:00` or `17:00:30`; `24:00` is the end of the day.

    >>> parse_time_of_day("17:00"), parse_time_of_day("24:00"), parse_time_of_day("9:00")
    (61200000, 86400000, None)
    """
    found = _time.fullmatch(text)
    if not found:
        return None
    if found[1] is None:
        return DAY_MS
    return (int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3] or 0)) * 1000


def parse_date(text: str) -> date | None:
    """The day of `2026-12-31`.

    >>> parse_date("2026-12-31"), parse_date("2026-02-30")
    (datetime.date(2026, 12, 31), None)
    """
    if not _date.fullmatch(text):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def parse_instant(text: str) -> int | datetime | None:
    """`2026-11-25T17:10+09:00` as epoch milliseconds; without an offset, the local time, as a datetime without zone.

    A date alone is its local midnight. Fractions of a second are cut to milliseconds.

    >>> parse_instant("2026-11-25T17:10+09:00")
    1795594200000
    >>> parse_instant("2026-11-25")
    datetime.datetime(2026, 11, 25, 0, 0)
    """
    found = _instant.fullmatch(text)
    if not found:
        return None
    day, time, fraction, offset = found.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time or '00:00'}{'+00:00' if offset == 'Z' else offset or ''}")
        ms = int((fraction or "").ljust(3, "0")[:3])
        return moment.replace(microsecond=ms * 1000) if offset is None else epoch_ms(moment) + ms
    except (ValueError, OverflowError):
        return None


def epoch_ms(moment: datetime) -> int:
    """Epoch milliseconds of a moment with a zone.

    >>> epoch_ms(datetime(1970, 1, 2, tzinfo=UTC))
    86400000
    """
    elapsed = moment - _EPOCH
    return elapsed.days * DAY_MS + elapsed.seconds * 1000 + elapsed.microseconds // 1000


def format_duration(ms: int) -> str:
    """The shortest way to write a duration.

    >>> format_duration(300000), format_duration(90000)
    ('5m', '90s')
    """
    for unit in ("d", "h", "m", "s"):
        if ms and ms % _DURATION_MS[unit] == 0:
            return f"{ms // _DURATION_MS[unit]}{unit}"
    return f"{ms}ms"
