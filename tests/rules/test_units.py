"""Quantities: a unit is always required, and nothing is guessed."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules import units
from tests.rules.scene import WED_17


@pytest.mark.parametrize(
    ("text", "ms"),
    [("500ms", 500), ("30s", 30_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("0s", 0)],
)
def test_a_duration_is_milliseconds(text: str, ms: int) -> None:
    assert units.parse_duration(text) == ms


@pytest.mark.parametrize("text", ["5", "m", "5 m", "5M", "1.5h", "-5m", "5m ", "5min", "1h30m", "٥m", "5m\n", "", "1w"])
def test_anything_else_is_no_duration(text: str) -> None:
    assert units.parse_duration(text) is None


@given(st.integers(0, 10**11))
def test_a_duration_that_was_written_is_read_again(ms: int) -> None:
    assert units.parse_duration(units.format_duration(ms)) == ms


@pytest.mark.parametrize(("text", "metres"), [("50m", 50.0), ("1.2km", 1200.0), ("0.5m", 0.5), ("2km", 2000.0)])
def test_a_distance_is_metres(text: str, metres: float) -> None:
    assert units.parse_distance(text) == metres


@pytest.mark.parametrize("text", ["50", "50 m", "1,2km", "5s", "1e3m", "m", "-1m", "nanm"])
def test_anything_else_is_no_distance(text: str) -> None:
    assert units.parse_distance(text) is None


def test_m_is_minutes_in_a_duration_and_metres_in_a_distance() -> None:
    assert (units.parse_duration("5m"), units.parse_distance("5m")) == (300_000, 5.0)


@pytest.mark.parametrize(("text", "size"), [("1MiB", 1 << 20), ("64KiB", 1 << 16), ("2GiB", 1 << 31), ("7B", 7)])
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert units.parse_size(text) == size


@pytest.mark.parametrize("text", ["1MB", "1", "1Mib", "-1B"])
def test_anything_else_is_no_size(text: str) -> None:
    assert units.parse_size(text) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [("00:00", 0), ("17:00", 61_200_000), ("23:59:59", 86_399_000), ("24:00", 86_400_000), ("09:05", 32_700_000)],
)
def test_a_time_of_day_is_milliseconds_after_midnight(text: str, ms: int) -> None:
    assert units.parse_time_of_day(text) == ms


@pytest.mark.parametrize("text", ["9:00", "25:00", "24:01", "17:60", "17", "5pm", "17:00:60", "17.00", " 17:00"])
def test_anything_else_is_no_time_of_day(text: str) -> None:
    assert units.parse_time_of_day(text) is None


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2026-11-25T17:00+09:00", WED_17),
        ("2026-11-25 17:00:00+09:00", WED_17),
        ("2026-11-25T08:00:00Z", WED_17),
        ("2026-11-25T08:00:00.1239Z", WED_17 + 123),
        ("2026-11-25T03:00:00-05:00", WED_17),
        ("1969-12-31T23:59:59.999Z", -1),
    ],
)
def test_an_instant_with_an_offset_is_epoch_milliseconds_cut_not_rounded(text: str, ms: int) -> None:
    assert units.parse_instant(text) == ms


def test_an_instant_without_an_offset_stays_local() -> None:
    assert units.parse_instant("2026-11-25T17:00:00.5") == datetime(2026, 11, 25, 17, 0, 0, 500_000)  # noqa: DTZ001
    assert units.parse_instant("2026-11-25") == datetime(2026, 11, 25)  # noqa: DTZ001


@pytest.mark.parametrize(
    "text", ["2026-02-30T00:00Z", "2026-11-25T24:00Z", "2026-11-25Z", "yesterday", "2026-13-01", "1795593600000", ""]
)
def test_anything_else_is_no_instant(text: str) -> None:
    assert units.parse_instant(text) is None


@given(st.text())
def test_no_text_makes_a_parser_raise(text: str) -> None:
    for parse in (
        units.parse_duration,
        units.parse_distance,
        units.parse_size,
        units.parse_time_of_day,
        units.parse_date,
        units.parse_instant,
    ):
        assert parse(text) is None or text
