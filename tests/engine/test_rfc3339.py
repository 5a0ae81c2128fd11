"""Instants: what is one, where it is cut, and that reading many together equals reading each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ids import instant
from engine.rfc3339 import in_era, instant_ms, instants_ms

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_moments = st.builds(
    lambda time_ms, offset: (EPOCH + timedelta(microseconds=time_ms)).astimezone(timezone(timedelta(minutes=offset))),
    st.integers(-30_610_000_000_000_000, 253_402_000_000_000_000),
    st.integers(-1439, 1439),
)


@settings(max_examples=500)
@given(_moments, st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_an_instant_is_what_the_calendar_says(moment: datetime, precision: str) -> None:
    text = moment.isoformat(timespec=precision)
    cut = moment.replace(microsecond=moment.microsecond if precision != "seconds" else 0)
    assert instant_ms(text) == (cut - EPOCH) // timedelta(milliseconds=1)


@given(st.integers(-30_610_224_000_000, 253_402_300_799_999))
def test_what_we_write_we_read(time_ms: int) -> None:
    assert in_era(time_ms)
    assert instant_ms(instant(time_ms)) == time_ms


ODD = [
    "2026-11-25T08:00:00Z", "2026-11-25t08:00:00z", "2026-11-25 08:00:00Z", "2026-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2000-02-29T00:00:00Z", "2026-11-31T00:00:00Z",
    "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-11-25T24:00:00Z",
    "2026-11-25T23:60:00Z", "2026-11-25T23:59:60Z", "2026-11-25T23:59:61Z", "2026-11-25T08:00:60Z",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026/11/25T08:00:00Z",
    "2026-11-25T08.00:00Z", "2026-11-25T08:00:0:Z", "2026-11-25T08:00:00z", "2026-11-25T08:00:00X",
    "++++-11-25T08:00:00Z", "2026-11-25T08:00:00+09:00", "2026-11-25T08:00:00-09:00", "2026-11-25T08:00:00+24:00",
    "2026-11-25T08:00:00+09:60", "2026-11-25T08:00:00 09:00", "2026-11-25T08:00:00+09-00",
    "2026-11-25T08:00:00+0900Z", "2026-11-25T08:00:00.1234Z", "2026-11-25T08:00:00.Z", "2026-11-25T08:00:00.9Z",
    "2026-11-25T08:00:00,9Z", "2026-11-25T08:00:00.9x9Z", "2016-12-31T23:59:60.5+00:00",
    "2017-01-01T08:59:60.5+09:00", "2017-01-01T08:59:60.5-09:00", "", "Z", "noon",
    "2026-11-25T08:00:00.123456789+09:00", "2026-11-25T08:00:00.1234567890+09:00", "2026-11-25T08:00:00.-99+09:00",
]  # fmt: skip


def alone(texts: list[str]) -> list[int | None]:
    return [instant_ms(text) for text in texts]


@pytest.mark.parametrize("odd", ODD)
def test_one_that_is_odd_among_many_of_its_length_is_judged_as_alone(odd: str) -> None:
    like = [text for text in ODD if len(text) == len(odd)]
    texts = (like * 40)[:80]
    assert instants_ms(texts) == alone(texts)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(_moments.map(lambda m: m.isoformat(timespec="milliseconds")), st.sampled_from(ODD)), max_size=80
    ),
    st.data(),
)
def test_many_together_are_as_each_alone(texts: list[str], data: st.DataObject) -> None:
    if texts:
        length = len(data.draw(st.sampled_from(texts)))
        texts = [text for text in texts if len(text) == length] * 40
    for i in data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=5)) if texts else []:
        at = data.draw(st.integers(0, len(texts[i])))
        texts[i] = texts[i][:at] + data.draw(st.sampled_from("0123456789-:.TZz+ é")) + texts[i][at + 1 :]
    assert instants_ms(texts) == alone(texts)


def test_many_of_nothing_are_nothing() -> None:
    assert instants_ms([]) == []
