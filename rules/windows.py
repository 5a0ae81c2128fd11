"""Local time as a condition: windows of a schedule, quiet hours, timers' instants, calendar periods.

Owns when each is open or due. Windows are half-open [from, to); `to` before `from` spans midnight; the day that counts
is the one a window starts on. Must not know users or limits. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rules.units import DAY_MS
from rules.zones import date_of, end_of, exists, instant_of, local, weekday, zone

if TYPE_CHECKING:
    from datetime import datetime
    from zoneinfo import ZoneInfo

    from rules.facts import User
    from rules.place import Place

_EPOCH_DAY: Final = 719_163
EVERY_DAY: Final = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of local time on some weekdays (0 is Monday). Times are milliseconds after midnight."""

    days: frozenset[int] = EVERY_DAY
    from_ms: int = 0
    to_ms: int = DAY_MS

    def bounds(self, day: int, tz: ZoneInfo) -> tuple[int, int]:
        """First instant, and first instant after, of the window that starts on a day (days since 1970-01-01)."""
        last = day + 1 if self.to_ms <= self.from_ms else day
        return instant_of(day, self.from_ms, tz), end_of(last, self.to_ms, tz)


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a rule may act. `timezone` is `place`, `user` or an IANA name; `dates` are days since 1970-01-01.

    `holidays` are codes of the package `holidays`: a country, or a country and its part (`US-CA`).
    """

    timezone: str = "place"
    windows: tuple[Window, ...] = (Window(),)
    holidays: tuple[str, ...] = ()
    dates: frozenset[int] = frozenset()
    _memo: dict[ZoneInfo, tuple[int, int, bool]] = field(init=False, compare=False, repr=False)

    always: bool = field(init=False, compare=False, repr=False)
    """True if no instant is ever outside."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "_memo", {})
        object.__setattr__(self, "always", not (self.holidays or self.dates) and Window() in self.windows)

    def is_open(self, time_ms: int, tz: ZoneInfo) -> bool:
        """True if an instant lies in a window.

        >>> from rules.zones import zone
        >>> wednesday = Schedule(windows=(Window(frozenset({2}), 17 * 3600_000, 18 * 3600_000),))
        >>> wednesday.is_open(1795593600000, zone("Asia/Tokyo")), wednesday.is_open(1795593599999, zone("Asia/Tokyo"))
        (True, False)
        """
        # The last answer holds until the next border: most occasions of a rule lie in one stretch.
        since, until, answer = self._memo.get(tz, (0, 0, False))
        if since <= time_ms < until:
            return answer
        today = local(time_ms, tz).day
        since, until, answer = instant_of(today - 1, 0, tz), instant_of(today + 2, 0, tz), False
        for day in range(today - 2, today + 3):
            for window in self.windows:
                if weekday(day) not in window.days or self.excepts(day) or not exists(day, tz):
                    continue
                start, end = window.bounds(day, tz)
                answer = answer or start <= time_ms < end
                for border in (start, end):
                    if border <= time_ms:
                        since = max(since, border)
                    else:
                        until = min(until, border)
        self._memo[tz] = since, until, answer
        return answer

    def excepts(self, day: int) -> bool:
        """True if no window starts on a day (days since 1970-01-01)."""
        return day in self.dates or any(is_holiday(code, day) for code in self.holidays)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The local hours in which nobody is messaged. Both times of a clock set back are quiet."""

    from_ms: int
    to_ms: int
    timezone: str = "user"

    def hold(self, shown: int) -> bool:
        """True if a local clock that shows this time, in milliseconds after midnight, is in [from, to).

        >>> from rules.zones import time_of_day, zone
        >>> QuietHours(21 * 3600_000, 9 * 3600_000).hold(time_of_day(1795593600000, zone("America/New_York")))
        True
        """
        if self.from_ms < self.to_ms:
            return self.from_ms <= shown < self.to_ms
        return shown >= self.from_ms or shown < self.to_ms


@dataclass(frozen=True, slots=True)
class Active:
    """From when until when (exclusive) a rule lives: epoch milliseconds, or a local time in the schedule's zone."""

    since: int | datetime | None = None
    until: int | datetime | None = None

    def covers(self, time_ms: int, tz: ZoneInfo) -> bool:
        """True if an instant lies in it."""
        if self.since is not None and time_ms < resolve(self.since, tz):
            return False
        return self.until is None or time_ms < resolve(self.until, tz)


def resolve(moment: int | datetime, tz: ZoneInfo) -> int:
    """The instant of a moment that was written down: itself, or a local time in a zone."""
    if isinstance(moment, int):
        return moment
    time = (moment.hour * 3600 + moment.minute * 60 + moment.second) * 1000 + moment.microsecond // 1000
    return instant_of(moment.toordinal() - _EPOCH_DAY, time, tz)


def zone_for(choice: str, place: Place | None, user: User, default: ZoneInfo) -> ZoneInfo:
    """The zone that `place`, `user` or an IANA name means for an occasion.

    Where there is no place, the user's zone counts; where the user's is unknown, the place's; where neither, the
    setting's (`default`). A place without a zone of its own counts as being in the setting's.
    """
    if choice not in ("place", "user"):
        return zone(choice) or default
    of_user = zone(user.timezone) if isinstance(user.timezone, str) else None
    if choice == "user" and of_user is not None:
        return of_user
    if place is not None:
        return (zone(place.timezone) if place.timezone else None) or default
    return of_user or default


def next_instant(days: frozenset[int], at_ms: int, after_ms: int, tz: ZoneInfo) -> int:
    """The first instant after `after_ms` at which a local clock shows `at_ms` on one of the weekdays, once a day.

    >>> from rules.zones import zone
    >>> next_instant(frozenset({2}), 17 * 3600_000, 1795593599999, zone("Asia/Tokyo"))
    1795593600000
    """
    today = local(after_ms, tz).day
    for day in range(today - 1, today + 16):
        if weekday(day) in days and exists(day, tz):
            due = instant_of(day, at_ms, tz)
            if due > after_ms:
                return due
    raise ValueError("a timer needs at least one weekday, got `days` without any")


def period_start(per: str, time_ms: int, tz: ZoneInfo) -> int:
    """The instant at which the local calendar `day`, `week` (from Monday) or `month` of an instant began.

    >>> from rules.zones import zone
    >>> period_start("week", 1795593600000, zone("UTC"))
    1795392000000
    """
    day = local(time_ms, tz).day
    if per == "week":
        day -= weekday(day)
    elif per == "month":
        day -= date_of(day).day - 1
    return instant_of(day, 0, tz)


@lru_cache(maxsize=1024)
def _holidays(code: str, year: int) -> frozenset[int]:
    import holidays  # few sites name any, and it takes a while

    country, _, part = code.partition("-")
    found = holidays.country_holidays(country, subdiv=part or None, years=year)
    return frozenset(day.toordinal() - _EPOCH_DAY for day in found)


def is_holiday(code: str, day: int) -> bool:
    """True if a day (days since 1970-01-01) is a public holiday of a country, or of a part of one.

    >>> from rules.zones import day_of; from datetime import date
    >>> is_holiday("JP", day_of(date(2026, 11, 23)))
    True
    """
    return day in _holidays(code, date_of(day).year)


@lru_cache(maxsize=1)
def holiday_codes() -> frozenset[str]:
    """Every code that `holidays:` may name: countries, and their parts as `US-CA`."""
    import holidays

    parts = holidays.list_supported_countries()
    return frozenset(parts) | {f"{country}-{part}" for country, names in parts.items() for part in names}
