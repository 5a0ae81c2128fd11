"""Local time: zones by name, and where the local clock stands at an instant.

Owns the rule for local times that do not exist (the first instant after the gap) and for those that occur twice
(the first time). Must not know windows. Instants are epoch milliseconds; times of day milliseconds after midnight.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from rules.units import DAY_MS, epoch_ms

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_QUARTER_MS = 15 * 60_000
_EPOCH_DAY = date(1970, 1, 1).toordinal()
#: Instants outside of these have no local time in Python; they are judged as the nearest one that has.
_FIRST_MS = -62_135_000_000_000
_LAST_MS = 253_402_000_000_000


#: What the machine's own table of zones holds beside zones: what these mean is not the same everywhere.
_NO_ZONE = re.compile(r"localtime|posixrules|Factory|posix/.*|right/.*", re.IGNORECASE | re.DOTALL)


@lru_cache(maxsize=4096)
def zone(name: str) -> ZoneInfo | None:
    """The zone of an IANA name, None where there is none. Any text may come in.

    >>> zone("Asia/Tokyo"), zone("../etc/passwd"), zone("Mars/Olympus"), zone("localtime")
    (zoneinfo.ZoneInfo(key='Asia/Tokyo'), None, None, None)
    """
    if _NO_ZONE.fullmatch(name):
        return None
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        return None


def zone_names() -> set[str]:
    """The names of all zones that there are."""
    return {name for name in available_timezones() if not _NO_ZONE.fullmatch(name)}


class Local(NamedTuple):
    """Where a local clock stands: the day (days since 1970-01-01) and the milliseconds since its midnight."""

    day: int
    time_ms: int


def local(time_ms: int, tz: ZoneInfo) -> Local:
    """The local day and time at an instant.

    >>> local(1795593600000, ZoneInfo("Asia/Tokyo")) == Local(20782, 17 * 3600_000)
    True
    """
    return Local(*divmod(_shown(time_ms, tz), DAY_MS))


def time_of_day(time_ms: int, tz: ZoneInfo) -> int:
    """The local time alone, in milliseconds since midnight.

    >>> time_of_day(1795593600000, ZoneInfo("Asia/Tokyo")) == 17 * 3600_000
    True
    """
    return _shown(time_ms, tz) % DAY_MS


def _shown(time_ms: int, tz: ZoneInfo) -> int:
    """What a local clock shows, as if it were UTC."""
    offset_ms = _offset_in_quarter(time_ms // _QUARTER_MS, tz)
    return time_ms + (_offset(time_ms, tz) if offset_ms is None else offset_ms)


@lru_cache(maxsize=65_536)
def _offset_in_quarter(quarter: int, tz: ZoneInfo) -> int | None:
    """The offset of a whole quarter of an hour since 1970, or None where it changes within."""
    first = _offset(quarter * _QUARTER_MS, tz)
    return first if first == _offset((quarter + 1) * _QUARTER_MS - 1, tz) else None


def _offset(time_ms: int, tz: ZoneInfo) -> int:
    offset = _moment(time_ms, tz).utcoffset()
    return 0 if offset is None else offset // _MS


def weekday(day: int) -> int:
    """The weekday of a day since 1970-01-01: 0 is Monday."""
    return (day + 3) % 7


def day_of(day: date) -> int:
    """The days since 1970-01-01 of a date."""
    return day.toordinal() - _EPOCH_DAY


def date_of(day: int) -> date:
    """The date of a day since 1970-01-01; the first or last there is, beyond them."""
    return date.fromordinal(min(max(day + _EPOCH_DAY, 1), date.max.toordinal()))


@lru_cache(maxsize=65_536)
def exists(day: int, tz: ZoneInfo) -> bool:
    """False for a day that a zone skipped as a whole, as Samoa did 2011-12-30."""
    return local(instant_of(day, 0, tz), tz).day == day


@lru_cache(maxsize=65_536)
def instant_of(day: int, time_ms: int, tz: ZoneInfo) -> int:
    """The instant at which a local clock first shows a time of a day; the first after the gap if it skips it.

    `time_ms` may be 24:00 (the next midnight).

    >>> new_york = ZoneInfo("America/New_York")
    >>> instant_of(day_of(date(2026, 3, 8)), 9_000_000, new_york)  # 02:30 is skipped: 03:00 EDT
    1772953200000
    """
    return _resolve(day, time_ms, tz)[0]


@lru_cache(maxsize=65_536)
def end_of(day: int, time_ms: int, tz: ZoneInfo) -> int:
    """The instant at which a local clock has first run up to a time of a day: where a half-open stretch ends.

    It differs from `instant_of` only where the clock runs up to a time and is then set back: 02:00 in New York on the
    first Sunday of November, which the clock reaches an hour before it shows it.
    """
    instant, exists = _resolve(day, time_ms - 1, tz)
    return instant + 1 if exists else instant


def _resolve(day: int, time_ms: int, tz: ZoneInfo) -> tuple[int, bool]:
    naive_ms = day * DAY_MS + time_ms
    if not _FIRST_MS < naive_ms < _LAST_MS:
        return naive_ms, True
    wall = datetime(1970, 1, 1) + timedelta(milliseconds=naive_ms)  # noqa: DTZ001 - a wall clock's reading
    first = epoch_ms(wall.replace(tzinfo=tz, fold=0))
    if _moment(first, tz).replace(tzinfo=None) == wall:
        return first, True
    # In a gap, fold 1 reads the wall with the offset after it, and lands before it; fold 0 lands behind it.
    low, high = epoch_ms(wall.replace(tzinfo=tz, fold=1)), first
    before = _moment(low, tz).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if _moment(middle, tz).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high, False


def _moment(time_ms: int, tz: ZoneInfo) -> datetime:
    bounded = min(max(time_ms, _FIRST_MS), _LAST_MS)
    return (_EPOCH + timedelta(milliseconds=bounded)).astimezone(tz)


@lru_cache(maxsize=1024)  # one instant is told by all the rules that it is outside of
def clock_text(time_ms: int, tz: ZoneInfo) -> str:
    """An instant as people there would say it, with the offset.

    >>> clock_text(1795593600000, ZoneInfo("Asia/Tokyo"))
    '2026-11-25T17:00:00+09:00'
    """
    return _moment(time_ms, tz).isoformat(timespec="seconds" if time_ms % 1000 == 0 else "milliseconds")
