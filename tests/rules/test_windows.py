"""Local time: windows, quiet hours, timers and calendars, over clocks that are set forward and back."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from rules.facts import User
from rules.place import Place, PlaceKind
from rules.units import DAY_MS
from rules.windows import (
    EVERY_DAY,
    Active,
    QuietHours,
    Schedule,
    Window,
    holiday_codes,
    is_holiday,
    next_instant,
    period_start,
    zone_for,
)
from rules.zones import clock_text, date_of, day_of, end_of, instant_of, local, time_of_day, weekday, zone
from tests.rules.scene import FOOD, HOUR, MINUTE, SHINJUKU, WED_17, ms

TOKYO = ZoneInfo("Asia/Tokyo")
NEW_YORK = ZoneInfo("America/New_York")
UTC = ZoneInfo("UTC")
#: Zones with every kind of oddity: half hours, midnight changes, half-hour changes, a skipped day, far east and west.
ODD_ZONES = [
    ZoneInfo(name)
    for name in (
        "Asia/Tokyo",
        "America/New_York",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Havana",
        "Asia/Beirut",
        "Africa/Cairo",
        "America/Sao_Paulo",
        "America/Asuncion",
        "Pacific/Apia",
        "Pacific/Kiritimati",
        "Pacific/Niue",
        "Asia/Kathmandu",
        "Africa/Casablanca",
        "America/St_Johns",
        "Antarctica/Troll",
        "UTC",
    )
]
zones = st.sampled_from(ODD_ZONES)
days = st.integers(day_of(date(2010, 1, 1)), day_of(date(2030, 12, 31)))
instants = st.integers(ms("2010-01-03T00:00:00+00:00"), ms("2030-12-29T00:00:00+00:00"))
times = st.integers(0, 24 * 60 - 1).map(lambda minutes: minutes * MINUTE)


def wednesday(start: str = "17:00", end: str = "18:00", **more: object) -> Schedule:
    return Schedule(windows=(window("wed", start, end),), **more)  # type: ignore[arg-type]


def window(weekdays: str, start: str, end: str) -> Window:
    def clock(text: str) -> int:
        hours, minutes = text.split(":")
        return int(hours) * HOUR + int(minutes) * MINUTE

    names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    chosen = frozenset(names.index(d) for d in weekdays.split()) if weekdays else EVERY_DAY
    return Window(chosen, clock(start), clock(end))


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-11-25T16:59:59.999+09:00", False),
        ("2026-11-25T17:00:00.000+09:00", True),
        ("2026-11-25T17:59:59.999+09:00", True),
        ("2026-11-25T18:00:00.000+09:00", False),
        ("2026-11-24T17:30:00.000+09:00", False),
        ("2026-11-26T17:30:00.000+09:00", False),
        ("2026-11-25T17:30:00.000+00:00", False),
    ],
)
def test_wednesday_at_five_is_that_hour_and_not_a_millisecond_more(time: str, is_open: bool) -> None:
    assert wednesday().is_open(ms(time), TOKYO) is is_open


def test_a_week_of_arrivals_finds_the_hour_once_whatever_was_asked_before() -> None:
    schedule = wednesday()
    start = ms("2026-11-23T00:00+09:00")
    minutes = range(0, 7 * 24 * 60)
    found = [m for m in minutes if schedule.is_open(start + m * MINUTE, TOKYO)]
    backwards = [m for m in reversed(minutes) if schedule.is_open(start + m * MINUTE, TOKYO)]
    assert found == backwards[::-1] == list(range(2 * 1440 + 17 * 60, 2 * 1440 + 18 * 60))


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-11-27T21:59:59.999+09:00", False),
        ("2026-11-27T22:00+09:00", True),
        ("2026-11-28T00:00+09:00", True),
        ("2026-11-28T01:59:59.999+09:00", True),
        ("2026-11-28T02:00+09:00", False),
        ("2026-11-28T22:30+09:00", False),
        ("2026-11-27T00:30+09:00", False),
    ],
)
def test_a_window_that_spans_midnight_belongs_to_the_day_it_starts_on(time: str, is_open: bool) -> None:
    friday_night = Schedule(windows=(window("fri", "22:00", "02:00"),))
    assert friday_night.is_open(ms(time), TOKYO) is is_open


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-12-30T23:00+09:00", False),
        ("2026-12-31T01:00+09:00", False),  # it would have started on the 30th
        ("2026-12-31T23:00+09:00", True),
        ("2027-01-01T01:00+09:00", True),  # it started on the 31st
    ],
)
def test_an_exception_judges_the_day_a_window_starts_on(time: str, is_open: bool) -> None:
    nightly = Schedule(windows=(window("", "22:00", "02:00"),), dates=frozenset({day_of(date(2026, 12, 30))}))
    assert nightly.is_open(ms(time), TOKYO) is is_open


def test_public_holidays_are_excepted_where_they_are_holidays() -> None:
    labour_thanksgiving = ms("2026-11-23T12:00+09:00")  # a Monday
    daily = Schedule(windows=(window("", "10:00", "20:00"),), holidays=("JP",))
    assert not daily.is_open(labour_thanksgiving, TOKYO)
    assert daily.is_open(labour_thanksgiving + DAY_MS, TOKYO)
    assert Schedule(windows=daily.windows, holidays=("DE",)).is_open(labour_thanksgiving, TOKYO)


def test_holidays_of_a_part_of_a_country() -> None:
    cesar_chavez = day_of(date(2026, 3, 31))
    assert is_holiday("US-CA", cesar_chavez) and not is_holiday("US", cesar_chavez)
    assert {"JP", "US-CA", "DE-BY"} <= holiday_codes()


def test_without_windows_every_instant_is_open_except_on_excepted_days() -> None:
    schedule = Schedule(dates=frozenset({day_of(date(2026, 11, 25))}))
    assert Schedule().always and not schedule.always
    assert [schedule.is_open(WED_17 + d * DAY_MS, TOKYO) for d in (-1, 0, 1)] == [True, False, True]


def test_two_windows_are_each_open() -> None:
    schedule = Schedule(windows=(window("wed", "11:00", "14:00"), window("wed", "17:00", "18:00")))
    hours = [h for h in range(24) if schedule.is_open(ms("2026-11-25T00:00+09:00") + h * HOUR, TOKYO)]
    assert hours == [11, 12, 13, 17]


# -- clocks set forward: New York skips 02:00 to 03:00 on 2026-03-08, at 07:00Z


@pytest.mark.parametrize(
    ("start", "end", "opens", "shuts"),
    [
        ("02:30", "04:00", "07:00", "08:00"),  # 02:30 becomes 03:00 EDT
        ("01:00", "02:30", "06:00", "07:00"),
        ("02:00", "03:00", None, None),
        ("02:10", "02:50", None, None),
        ("03:00", "04:00", "07:00", "08:00"),
        ("01:00", "02:00", "06:00", "07:00"),
    ],
)
def test_a_skipped_local_time_becomes_the_first_instant_after_the_gap(
    start: str, end: str, opens: str | None, shuts: str | None
) -> None:
    schedule = Schedule(windows=(window("", start, end),))
    midnight = ms("2026-03-08T05:00+00:00")
    found = [midnight + m * MINUTE for m in range(23 * 60) if schedule.is_open(midnight + m * MINUTE, NEW_YORK)]
    if opens is None or shuts is None:
        assert found == []
    else:
        first, last = ms(f"2026-03-08T{opens}+00:00"), ms(f"2026-03-08T{shuts}+00:00")
        assert (found[0], found[-1] + MINUTE) == (first, last)
        assert not schedule.is_open(first - 1, NEW_YORK) and schedule.is_open(last - 1, NEW_YORK)


# -- clocks set back: New York shows 01:00 to 02:00 twice on 2026-11-01, from 05:00Z and from 06:00Z


@pytest.mark.parametrize(
    ("start", "end", "opens", "shuts"),
    [
        ("01:00", "02:00", "05:00", "06:00"),  # the first time only
        ("01:15", "01:45", "05:15", "05:45"),
        ("00:30", "01:30", "04:30", "05:30"),
        ("00:00", "03:00", "04:00", "08:00"),  # it does not shut in between
        ("01:30", "03:00", "05:30", "08:00"),
        ("02:00", "03:00", "07:00", "08:00"),
    ],
)
def test_a_local_time_that_occurs_twice_counts_the_first_time(start: str, end: str, opens: str, shuts: str) -> None:
    schedule = Schedule(windows=(window("", start, end),))
    midnight = ms("2026-11-01T04:00+00:00")
    found = [midnight + m * MINUTE for m in range(25 * 60) if schedule.is_open(midnight + m * MINUTE, NEW_YORK)]
    expected = range(ms(f"2026-11-01T{opens}+00:00"), ms(f"2026-11-01T{shuts}+00:00"), MINUTE)
    assert found == list(expected)


def test_quiet_hours_count_both_times() -> None:
    quiet = QuietHours(HOUR + 15 * MINUTE, HOUR + 45 * MINUTE)
    midnight = ms("2026-11-01T04:00+00:00")
    found = [m for m in range(0, 240, 15) if quiet.hold(time_of_day(midnight + m * MINUTE, NEW_YORK))]
    assert found == [75, 90, 135, 150]


def test_quiet_hours_span_midnight_and_are_half_open() -> None:
    quiet = QuietHours(21 * HOUR, 9 * HOUR)
    midnight = ms("2026-11-25T00:00+09:00")
    edges = [9 * HOUR - 1, 9 * HOUR, 21 * HOUR - 1, 21 * HOUR, 0]
    assert [quiet.hold(time_of_day(midnight + t, TOKYO)) for t in edges] == [True, False, False, True, True]


def test_quiet_hours_that_end_at_midnight() -> None:
    quiet = QuietHours(22 * HOUR, 0)
    midnight = ms("2026-11-25T00:00+09:00")
    assert [quiet.hold(time_of_day(midnight + t, TOKYO)) for t in (-1, 0, 22 * HOUR - 1, 22 * HOUR)] == [
        True,
        False,
        False,
        True,
    ]


# -- properties over many zones and twenty years


@given(zones, instants)
def test_the_local_clock_is_that_of_the_standard_library(tz: ZoneInfo, time_ms: int) -> None:
    shown = datetime.fromtimestamp(time_ms // 1000, tz)
    found = local(time_ms, tz)
    assert date_of(found.day) == shown.date()
    assert found.time_ms == (shown.hour * 3600 + shown.minute * 60 + shown.second) * 1000 + time_ms % 1000
    assert weekday(found.day) == shown.weekday()


def first_at_or_after(day: int, time_ms: int, tz: ZoneInfo) -> int:
    """Slow but plain: walk the minutes round a day, and take the first that shows the time, or is past the gap."""
    wall = day * DAY_MS + time_ms
    start = wall - 26 * HOUR

    def shown(minute: int) -> int:
        offset = datetime.fromtimestamp((start + minute * MINUTE) // 1000, tz).utcoffset()
        assert offset is not None
        return start + minute * MINUTE + offset // timedelta(milliseconds=1)

    walls = [shown(m) for m in range(52 * 60)]
    return start + next(m for m, w in enumerate(walls) if w == wall or (w > wall and walls[m - 1] < wall)) * MINUTE


@given(zones, days, times)
def test_a_local_time_is_the_first_minute_that_shows_it_or_comes_after_it(tz: ZoneInfo, day: int, time_ms: int) -> None:
    assert instant_of(day, time_ms, tz) == first_at_or_after(day, time_ms, tz)


@given(zones, days, times)
def test_an_end_is_where_the_clock_has_run_up_to_it(tz: ZoneInfo, day: int, time_ms: int) -> None:
    assume(time_ms > 0)
    end = end_of(day, time_ms, tz)
    assert end <= instant_of(day, time_ms, tz)
    # The millisecond before it shows an earlier time of that day (or of the day before, if a gap swallowed the start).
    before = local(end - 1, tz)
    assert (before.day, before.time_ms) < (day, time_ms)


@given(
    zones,
    instants,
    st.lists(st.tuples(st.frozensets(st.integers(0, 6), min_size=1), times, times), min_size=1, max_size=3),
)
def test_the_memory_of_the_last_answer_never_changes_an_answer(
    tz: ZoneInfo, time_ms: int, spans: list[tuple[frozenset[int], int, int]]
) -> None:
    windows = tuple(Window(d, a, b) for d, a, b in spans if a != b)
    assume(windows)
    one = Schedule(windows=windows)
    for step in (0, 1, HOUR, 5 * HOUR, -3 * HOUR, 30 * HOUR, -50 * HOUR, 2, -1):
        fresh = Schedule(windows=windows)
        assert one.is_open(time_ms + step, tz) is fresh.is_open(time_ms + step, tz)


@given(zones, instants, times, times)
def test_away_from_clock_changes_a_window_is_what_the_clock_shows(
    tz: ZoneInfo, time_ms: int, start: int, end: int
) -> None:
    assume(start != end)
    offsets = {datetime.fromtimestamp(time_ms // 1000 + h * 3600, tz).utcoffset() for h in range(-30, 31)}
    assume(len(offsets) == 1)
    shown = local(time_ms, tz).time_ms
    expected = start <= shown < end if start < end else (shown >= start or shown < end)
    assert Schedule(windows=(Window(EVERY_DAY, start, end),)).is_open(time_ms, tz) is expected


@example(ZoneInfo("Africa/Cairo"), 1_808_517_600_000, 0)  # 2027-04-30 begins there at 01:00
@given(zones, instants, times)
def test_a_daily_timer_is_due_once_for_each_local_day(tz: ZoneInfo, time_ms: int, at_ms: int) -> None:
    due, found = time_ms, []
    for _ in range(6):
        due = next_instant(EVERY_DAY, at_ms, due, tz)
        found.append(due)
    assert found == sorted(set(found))
    for instant in found:
        day = local(instant, tz)
        # It is due at its time, or right after a gap that swallowed it; the gap may begin or end at midnight.
        assert day.time_ms == at_ms or instant in {instant_of(day.day - n, at_ms, tz) for n in (0, 1)}
    gaps = [b - a for a, b in pairwise(found)]
    assert all(22 * HOUR <= gap <= 50 * HOUR for gap in gaps)


def test_a_timer_fires_once_on_the_days_when_the_clock_is_changed() -> None:
    half_past_two = int(2.5 * HOUR)
    spring = next_instant(EVERY_DAY, half_past_two, ms("2026-03-08T00:00-05:00"), NEW_YORK)
    assert spring == ms("2026-03-08T03:00-04:00")
    assert next_instant(EVERY_DAY, half_past_two, spring, NEW_YORK) == ms("2026-03-09T02:30-04:00")
    half_past_one = int(1.5 * HOUR)
    autumn = next_instant(EVERY_DAY, half_past_one, ms("2026-11-01T00:00-04:00"), NEW_YORK)
    assert autumn == ms("2026-11-01T01:30-04:00")
    assert next_instant(EVERY_DAY, half_past_one, autumn, NEW_YORK) == ms("2026-11-02T01:30-05:00")


def test_a_timer_is_due_on_its_weekdays_only() -> None:
    monday_wednesday = frozenset({0, 2})
    first = next_instant(monday_wednesday, 17 * HOUR, WED_17 - 1, TOKYO)
    second = next_instant(monday_wednesday, 17 * HOUR, first, TOKYO)
    assert (first, second) == (WED_17, WED_17 + 5 * DAY_MS)


def test_a_timer_without_a_weekday_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one weekday"):
        next_instant(frozenset(), 0, WED_17, TOKYO)


@pytest.mark.parametrize(
    ("per", "start"),
    [("day", "2026-11-25T00:00+09:00"), ("week", "2026-11-23T00:00+09:00"), ("month", "2026-11-01T00:00+09:00")],
)
def test_calendar_periods_begin_at_local_midnight(per: str, start: str) -> None:
    assert period_start(per, WED_17, TOKYO) == ms(start)
    assert period_start(per, ms(start), TOKYO) == ms(start)
    assert period_start(per, ms(start) - 1, TOKYO) < ms(start)


@given(zones, instants, st.sampled_from(["day", "week", "month"]))
def test_a_period_began_before_and_not_too_long_ago(tz: ZoneInfo, time_ms: int, per: str) -> None:
    longest = {"day": 2, "week": 9, "month": 33}[per] * DAY_MS
    start = period_start(per, time_ms, tz)
    assert time_ms - longest <= start <= time_ms


# -- whose zone


def _user(timezone: str | None) -> User:
    return User("u", timezone=timezone)


@pytest.mark.parametrize(
    ("choice", "place", "users", "expected"),
    [
        ("place", SHINJUKU, "America/New_York", "Asia/Tokyo"),
        ("place", None, "America/New_York", "America/New_York"),
        ("place", None, None, "Europe/Paris"),
        ("place", FOOD, "America/New_York", "Europe/Paris"),  # a place without a zone is in the setting's
        ("user", SHINJUKU, "America/New_York", "America/New_York"),
        ("user", SHINJUKU, None, "Asia/Tokyo"),
        ("user", SHINJUKU, "Mars/Olympus", "Asia/Tokyo"),
        ("user", SHINJUKU, "../../etc/passwd", "Asia/Tokyo"),
        ("user", None, None, "Europe/Paris"),
        ("America/Chicago", SHINJUKU, "America/New_York", "America/Chicago"),
        ("place", Place("x", PlaceKind.FENCE, timezone="Mars/Olympus"), None, "Europe/Paris"),
    ],
)
def test_the_zone_falls_back_from_place_or_user_to_the_setting(
    choice: str, place: Place | None, users: str | None, expected: str
) -> None:
    assert zone_for(choice, place, _user(users), ZoneInfo("Europe/Paris")).key == expected


@given(st.text(max_size=30))
def test_no_text_makes_a_zone_raise(name: str) -> None:
    found = zone(name)
    assert found is None or found.key == name


def test_a_lifetime_is_half_open_and_local_times_are_told_in_the_zone() -> None:
    active = Active(datetime(2026, 11, 25), ms("2026-11-26T00:00+09:00"))  # noqa: DTZ001
    edges = [ms("2026-11-25T00:00+09:00") + t for t in (-1, 0, DAY_MS - 1, DAY_MS)]
    assert [active.covers(t, TOKYO) for t in edges] == [False, True, True, False]
    assert not active.covers(edges[1], UTC)
    assert Active().covers(0, UTC)


@given(st.integers(-(2**62), 2**62), zones)
def test_no_instant_is_too_far_away(time_ms: int, tz: ZoneInfo) -> None:
    local(time_ms, tz)
    assert clock_text(time_ms, tz)
    Schedule(windows=(window("wed", "17:00", "18:00"),), holidays=("JP",)).is_open(time_ms, tz)
    period_start("month", time_ms, tz)
    QuietHours(21 * HOUR, 9 * HOUR).hold(time_of_day(time_ms, tz))


def test_the_day_of_the_move_over_the_date_line_has_no_window_and_no_timer() -> None:
    apia = ZoneInfo("Pacific/Apia")  # 2011-12-30, a Friday, did not happen there
    thursday_noon = ms("2011-12-29T12:00-10:00")
    assert next_instant(EVERY_DAY, 12 * HOUR, thursday_noon, apia) == ms("2011-12-31T12:00+14:00")
    nights = Schedule(windows=(window("fri", "22:00", "06:00"),))
    assert not any(nights.is_open(thursday_noon + h * HOUR, apia) for h in range(48))
