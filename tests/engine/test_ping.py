"""What of a body is kept, what is refused and why; and that reading all at once equals judging one by one."""

from __future__ import annotations

import itertools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.ping import BodyError, Decoded, Rows, columns, decode_pings, judge_pings
from engine.settings import PingLimits
from engine.wire import COLUMNS

NOW_MS = 1_795_593_600_120
LIMITS = PingLimits()
GOOD: dict[str, Any] = {"device": "d-42", "time": NOW_MS, "lat": 35.690921, "lng": 139.700258}
HEARD: dict[str, Any] = {"device": "d-42", "time": NOW_MS, "beacon": "gateway:door-3", "rssi": -67}
UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"


def decoded(body: bytes | Any, *, ndjson: bool = False, limits: PingLimits = LIMITS, recorded: bool = False) -> Decoded:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_pings(data, ndjson=ndjson, now_ms=NOW_MS, limits=limits, recorded=recorded)


def reason(ping: Any) -> str | None:
    """Why one ping is refused, between two good ones, which must live."""
    got = decoded([GOOD, ping, GOOD])
    assert got.count == 3
    assert len(got.rows) + len(got.rejected) == 3
    assert all(r.index == 1 for r in got.rejected)
    return got.rejected[0].reason.value if got.rejected else None


# -- what is taken -------------------------------------------------------------------------------------------------


def test_a_ping_of_the_documentation_is_taken_as_it_stands() -> None:
    body = b"""{"id": "p-1", "device": "d-42", "user": "u-7", "time": "2026-11-25T17:00:00.120+09:00",
     "lat": 35.690921, "lng": 139.700258, "accuracy": 12.0, "speed": 1.1, "heading": 270, "mocked": false}"""
    assert decoded(body) == Decoded(
        Rows(
            ["d-42"], [NOW_MS], [35.690921], [139.700258], ["u-7"], [None], [12.0], [1.1], [270.0], [None], [False], []
        ),
        [],
        1,
    )


def test_a_sighting_of_the_documentation_is_taken_and_tells_no_point() -> None:
    got = decoded({"device": "d-42", "time": NOW_MS, "beacon": f"ibeacon:{UUID}:17:4", "rssi": -67, "tx": -59})
    assert (got.rows.beacons, got.rows.rssis) == ([f"ibeacon:{UUID}:17:4"], [-67.0])
    assert math.isnan(got.rows.lats[0]) and math.isnan(got.rows.lngs[0])


def test_the_beacon_counts_when_a_ping_has_a_point_too() -> None:
    got = decoded(HEARD | {"lat": 35.0, "lng": 139.0})
    assert got.rows.beacons == ["gateway:door-3"] and math.isnan(got.rows.lats[0])


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        (f"iBeacon:{UUID.upper()}:017:4", f"ibeacon:{UUID}:17:4"),
        (f"ibeacon:{UUID.replace('-', '')}:0:65535", f"ibeacon:{UUID}:0:65535"),
        ("eddystone:EDD1EBEAC04E5DEFA017:0123456789AB", "eddystone:edd1ebeac04e5defa017:0123456789ab"),
        ("gateway:Door-3", "gateway:Door-3"),
    ],
)
def test_a_beacon_has_one_name_however_it_is_written(written: str, normal: str) -> None:
    assert decoded(HEARD | {"beacon": written}).rows.beacons == [normal]


@pytest.mark.parametrize(
    ("written", "time_ms"),
    [
        (NOW_MS, NOW_MS),
        (NOW_MS + 0.9, NOW_MS),
        ("2026-11-25T17:00:00.120+09:00", NOW_MS),
        ("2026-11-25t08:00:00.120z", NOW_MS),
        ("2026-11-25 08:00:00.120Z", NOW_MS),
        ("2026-11-25T08:00:00.1209999999Z", NOW_MS),
        ("2026-11-25T08:00:00.9999999999Z", NOW_MS + 879),
        ("2026-11-25T08:00:00Z", NOW_MS - 120),
        ("2026-11-25T08:00:00.1Z", NOW_MS - 20),
        ("2026-11-25T03:30:00.120-04:30", NOW_MS),
        ("2026-11-26T07:59:00.120+23:59", NOW_MS),
        ("2026-11-25T08:00:00.120-00:00", NOW_MS),
    ],
)
def test_times_are_cut_to_milliseconds_and_never_rounded_up(written: Any, time_ms: int) -> None:
    assert decoded(GOOD | {"time": written}).rows.times == [time_ms]


def test_a_leap_second_is_the_first_second_of_the_next_day_and_no_other_minute_has_one() -> None:
    for written in ("2016-12-31T23:59:60Z", "2017-01-01T08:59:60+09:00"):
        got = decode_pings(
            json.dumps(GOOD | {"time": written}).encode(), ndjson=False, now_ms=1_483_228_800_000, limits=LIMITS
        )
        assert got.rows.times == [1_483_228_800_000]
    assert reason(GOOD | {"time": "2026-11-25T08:00:60Z"}) == "wrong_type"


@pytest.mark.parametrize("ping", [GOOD, HEARD])
@pytest.mark.parametrize("value", [None, -1, -0.001])
def test_what_is_not_known_is_nan_however_it_is_said(ping: dict[str, Any], value: float | None) -> None:
    located = columns([decoded(ping | {"accuracy": value, "speed": value, "heading": value}).rows])
    assert all(np.isnan(located.column(name)[0]) for name in ("accuracy", "speed", "heading"))


def test_null_is_as_good_as_leaving_a_field_out() -> None:
    nothing = dict.fromkeys(("id", "user", "beacon", "accuracy", "speed", "heading", "rssi", "mocked"))
    assert decoded(GOOD | nothing) == decoded(GOOD)
    assert reason(GOOD | {"lat": None}) == "missing_field"


def test_fields_that_nobody_knows_are_ignored_whatever_is_in_them() -> None:
    assert decoded([GOOD | {"battery": {"deep": [1, {"level": None}]}, "received": "yesterday", "id": 7}]) == decoded(
        [GOOD]
    )
    huge = json.dumps(GOOD)[:-1].encode() + b', "altitude": 1e999}'
    assert decoded(huge) == decoded(GOOD)


def test_pings_are_worked_in_order_of_their_time_and_of_the_body_where_it_is_equal() -> None:
    body = [GOOD | {"device": f"d-{i}", "time": NOW_MS - t} for i, t in enumerate([0, 5, 0, 9, 5])]
    assert decoded(body).rows.devices == ["d-3", "d-1", "d-4", "d-0", "d-2"]
    assert decoded([*body, {}]).rows.devices == ["d-3", "d-1", "d-4", "d-0", "d-2"]


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["device", "time", "lat", "lng"])
def test_a_ping_without_what_it_needs_is_refused(name: str) -> None:
    assert reason({k: v for k, v in GOOD.items() if k != name}) == "missing_field"


@pytest.mark.parametrize("name", ["device", "time", "beacon", "rssi"])
def test_a_sighting_without_what_it_needs_is_refused(name: str) -> None:
    assert reason({k: v for k, v in HEARD.items() if k != name}) == "missing_field"


@pytest.mark.parametrize(
    "wrong",
    [
        {"lat": "35.6"}, {"lng": True}, {"lat": []}, {"accuracy": "12"}, {"speed": False}, {"heading": {}},
        {"device": 42}, {"device": ["d"]}, {"user": 7}, {"mocked": "no"}, {"mocked": 0},
        {"time": True}, {"time": {}}, {"time": "2026-11-25T17:00:00"}, {"time": "2026-11-25"}, {"time": ""},
        {"time": str(NOW_MS)}, {"time": "2026-02-30T00:00:00Z"}, {"time": "2026-11-25T24:00:00Z"}, {"time": "Z"},
        {"time": "2026-11-25T08:00:00,5Z"}, {"time": "2026-11-25T08:00:00.Z"}, {"time": "2026-11-25T08:00:00+09"},
        {"time": "2026-11-25T08:00:0٣Z"}, {"time": "20261125T080000Z"}, {"time": "0000-01-01T00:00:00Z"},
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_refused(wrong: dict[str, Any]) -> None:
    assert reason(GOOD | wrong) == "wrong_type"


@pytest.mark.parametrize("ping", [1, "d-42", None, True, [], [GOOD], 1.5])
def test_an_element_that_is_no_object_is_refused(ping: Any) -> None:
    assert reason(ping) == "wrong_type"


@pytest.mark.parametrize(
    "ping",
    [
        GOOD | {"lat": 90.0000001}, GOOD | {"lat": -91}, GOOD | {"lng": 180.5}, GOOD | {"lng": -181},
        GOOD | {"lat": 1e300}, GOOD | {"lat": 10**40}, GOOD | {"device": ""}, GOOD | {"device": "d" * 257},
        GOOD | {"user": ""},
        GOOD | {"device": "a\0b"}, GOOD | {"user": "a\nb"}, GOOD | {"device": "\ud800"}, GOOD | {"user": "u\udfff"},
        HEARD | {"rssi": -128}, HEARD | {"rssi": 21}, HEARD | {"rssi": 0}, HEARD | {"rssi": 127},
        HEARD | {"beacon": "mac:00:11"}, HEARD | {"beacon": ""}, HEARD | {"beacon": f"ibeacon:{UUID}:17"},
        HEARD | {"beacon": f"ibeacon:{UUID}:17:*"}, HEARD | {"beacon": f"ibeacon:{UUID}:65536:1"},
        HEARD | {"beacon": "gateway:"}, HEARD | {"beacon": "gateway:a\0"}, HEARD | {"beacon": "gateway:" + "g" * 300},
    ],
)  # fmt: skip
def test_what_lies_out_of_range_is_refused(ping: dict[str, Any]) -> None:
    assert reason(ping) == "out_of_range"


def test_the_limits_themselves_are_taken() -> None:
    for ping in (
        GOOD | {"lat": 90, "lng": -180},
        GOOD | {"lat": -90.0, "lng": 180.0},
        GOOD | {"device": "デ" * 256, "user": "😀" * 256},
        GOOD | {"time": NOW_MS - LIMITS.max_age_ms},
        GOOD | {"time": NOW_MS + LIMITS.max_ahead_ms},
        HEARD | {"rssi": -127},
        HEARD | {"rssi": 20},
    ):
        assert reason(ping) is None, ping


_NUMBERS = ["lat", "lng", "time", "accuracy", "speed", "heading", "rssi"]
_NO_NUMBERS = ["NaN", "Infinity", "-Infinity"]
_HUGE = ["1e400", "-1e400", "9" * 400, "9" * 5000]


@pytest.mark.parametrize(
    ("name", "token"),
    [*itertools.product(_NUMBERS, _NO_NUMBERS + _HUGE), *itertools.product(["battery"], _NO_NUMBERS)],
)
def test_a_number_that_is_not_finite_harms_its_own_ping_only(name: str, token: str) -> None:
    bad = json.dumps(GOOD | {name: "@"}).replace('"@"', token)
    got = decoded(f"[{json.dumps(GOOD)}, {bad}, {json.dumps(GOOD)}]".encode())
    assert [(r.index, r.reason) for r in got.rejected] == [(1, "not_finite")]
    assert len(got.rows) == 2


def test_times_too_far_off_are_refused_by_the_time_received() -> None:
    assert reason(GOOD | {"time": NOW_MS - LIMITS.max_age_ms - 1}) == "too_old"
    assert reason(GOOD | {"time": NOW_MS + LIMITS.max_ahead_ms + 1}) == "in_future"
    for far in ("9999-12-31T23:59:59Z", 10**30, 1e300, 253_402_300_799_999):
        assert reason(GOOD | {"time": far}) == "in_future"
    for old in ("0001-01-01T00:00:00+23:59", -1, 0, -(10**30)):
        assert reason(GOOD | {"time": old}) == "too_old"


@pytest.mark.parametrize("time", [10**26, 1e26, 1e300, -(10**26), "0001-01-01T00:00:00+23:59", NOW_MS * 1000])
def test_a_time_that_no_calendar_has_is_shown_as_it_came(time: float | str) -> None:
    detail = decoded(GOOD | {"time": time}).rejected[0].detail
    assert detail.startswith("`time` must be in the years 1000 to 9999, got `") and "or as epoch milliseconds" in detail
    assert len(detail) < 200


def test_seconds_in_place_of_milliseconds_are_guessed() -> None:
    got = decoded(GOOD | {"time": NOW_MS // 1000})
    assert got.rejected[0].detail.endswith("is it in seconds instead of milliseconds?")


def test_what_is_refused_says_what_came_and_how_to_mend_it_and_echoes_the_id() -> None:
    got = decoded([GOOD | {"id": "p-9", "lat": "35.6"}])
    assert [(r.index, r.reason.value, r.detail, r.id) for r in got.rejected] == [
        (0, "wrong_type", '`lat` must be a number, got `"35.6"`, leave out the quotes', "p-9")
    ]


def test_an_id_that_cannot_be_written_out_is_not_echoed() -> None:
    assert [r.id for r in decoded([{"id": "\ud800"}, {"id": 5}, {"id": "x" * 300}, 1]).rejected] == [None] * 4


def test_long_values_are_not_echoed_whole() -> None:
    got = decoded([GOOD | {"lat": "9" * 100_000}, GOOD | {"lat": [[]] * 9999}])
    assert all(len(r.detail) < 200 for r in got.rejected) and len(got.rejected) == 2


# -- bodies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"", b"  \n", b"{", b"[", b"]", b"[}", b"nope", b"[{},]", b"{'device': 1}", b'"text"', b"12", b"true", b"null",
        b"[] []", b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe", b'[{"device": "\xff"}]', b'{"device": "d\x01"}',
        b"NaN", b"[01]", json.dumps([GOOD]).encode("utf-16"),
    ],
)  # fmt: skip
def test_a_body_that_is_no_json_or_no_list_of_pings_is_400(body: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        decoded(body)
    assert caught.value.status == 400
    assert "\n" not in caught.value.text and not caught.value.text.endswith(".")


def test_bytes_that_are_no_utf8_are_seen_even_in_a_field_that_nobody_knows() -> None:
    with pytest.raises(BodyError, match="not UTF-8"):
        decoded(json.dumps([GOOD]).encode().replace(b'"lat"', b'"x": "\xff", "lat"'))


def test_nothing_is_a_good_list() -> None:
    assert decoded([]) == Decoded(Rows(), [], 0)


@pytest.mark.parametrize("ndjson", [False, True])
@pytest.mark.parametrize("bad", [False, True])
def test_a_batch_above_the_limit_is_413(ndjson: bool, bad: bool) -> None:
    limits = PingLimits(max_batch=3)
    pings = [{} if bad else GOOD] * 4
    body = b"\n".join(json.dumps(p).encode() for p in pings) if ndjson else json.dumps(pings).encode()
    with pytest.raises(BodyError) as caught:
        decoded(body, ndjson=ndjson, limits=limits)
    assert caught.value.status == 413
    fewer = body.rsplit(b"\n", 1)[0] if ndjson else json.dumps(pings[:3]).encode()
    assert decoded(fewer, ndjson=ndjson, limits=limits).count == 3


def test_lines_are_pings_and_empty_ones_do_not_count() -> None:
    line = json.dumps(GOOD).encode()
    assert decoded(b"\n\n" + line + b"\r\n \t\n" + line + b"\n", ndjson=True) == decoded([GOOD, GOOD])


def test_a_line_that_is_no_json_is_refused_alone() -> None:
    line = json.dumps(GOOD).encode()
    lines = [line, b"{", line + line, b'{"device": "\xff"}', b"[" * 100_000, line, b"[]", b'{"device"', b': "d"}', line]
    got = decoded(b"\n".join(lines), ndjson=True)
    assert [(r.index, r.reason) for r in got.rejected] == [
        (1, "bad_json"), (2, "bad_json"), (3, "bad_json"), (4, "bad_json"), (6, "wrong_type"), (7, "bad_json"),
        (8, "bad_json"),
    ]  # fmt: skip
    assert (len(got.rows), got.count) == (3, 10)


def test_a_line_of_lists_that_hold_no_number_is_refused_alone() -> None:
    """It could not be shown, and the whole body was answered 500."""
    got = decoded(json.dumps(GOOD).encode() + b"\n[[Infinity]]", ndjson=True)
    assert [(r.index, r.reason) for r in got.rejected] == [(1, "wrong_type")] and len(got.rows) == 1


def test_a_body_of_empty_lines_is_400() -> None:
    with pytest.raises(BodyError):
        decoded(b"\n \n", ndjson=True)


# -- recordings ----------------------------------------------------------------------------------------------------


def test_a_recording_keeps_its_order_and_says_when_it_was_received() -> None:
    lines = [
        GOOD | {"time": 5, "received": 9.9},
        GOOD | {"time": 3},
        GOOD | {"time": 4, "received": "1970-01-01T00:00:01Z"},
    ]
    got = decoded(lines, recorded=True)
    assert (got.rows.times, got.rows.received) == ([5, 3, 4], [9, None, 1000])
    assert columns([got.rows]).column("received").tolist() == [9, 3, 1000]
    assert decoded([*lines, {}], recorded=True).rows == got.rows


@pytest.mark.parametrize("wrong", [{"time": 10**15}, {"received": 10**15}, {"received": "noon"}, {"received": True}])
def test_a_recording_of_impossible_times_is_refused_by_line(wrong: dict[str, Any]) -> None:
    got = decoded([GOOD, GOOD | wrong], recorded=True)
    assert [r.index for r in got.rejected] == [1] and len(got.rows) == 1


# -- columns -------------------------------------------------------------------------------------------------------


def test_columns_of_many_requests_keep_their_borders_and_name_each_string_once() -> None:
    first = decoded([GOOD | {"user": "u"}, HEARD | {"accuracy": 3, "mocked": True}]).rows
    second = decoded([GOOD | {"device": "d-7", "speed": 1e300, "heading": -1}]).rows
    located = columns([first, second, Rows()])
    assert located.borders == [2, 3, 3]
    assert sorted(located.strings) == ["d-42", "d-7", "gateway:door-3", "u"]
    names = [*located.strings, None]
    told = {n: [names[i] for i in located.column(n)] for n in ("device", "user", "beacon")}
    assert told == {
        "device": ["d-42", "d-42", "d-7"],
        "user": ["u", None, None],
        "beacon": [None, "gateway:door-3", None],
    }
    for name, dtype in COLUMNS.items():
        assert name == "received" or (located.column(name).dtype == dtype and len(located.column(name)) == 3)
    assert located.column("mocked").tolist() == [0, 1, 0]
    assert located.column("rssi").tolist()[1] == -67 and np.isnan(located.column("rssi")[0])
    assert np.isnan(located.column("speed")).all()


@pytest.mark.parametrize("count", [1, 63, 64, 500])
def test_columns_of_many_rows_are_those_of_each_row(count: int) -> None:
    values = [None, -1.0, 0.0, -0.0, 1e39, 3.5, math.nan, 3.4e38, 1e-50, math.inf]
    rows = decoded([GOOD] * count).rows
    rows.speeds = rows.accuracies = [values[i % len(values)] for i in range(count)]
    rows.rssis = [None if v is None else -v for v in rows.speeds]
    rows.mocked = [(None, False, True)[i % 3] for i in range(count)]
    known = [math.nan if v is None or not 0 <= v < 1e39 else v for v in rows.speeds]
    located = columns([rows])
    np.testing.assert_array_equal(located.column("accuracy"), np.array(known))
    np.testing.assert_array_equal(located.column("speed"), np.array(known, np.float32))
    heard = [math.nan if v is None or abs(v) >= 1e39 else v for v in rows.rssis]
    np.testing.assert_array_equal(located.column("rssi"), np.array(heard, np.float32))
    assert located.column("mocked").tolist() == [i % 3 == 2 for i in range(count)]


def test_columns_of_nothing_are_empty() -> None:
    assert columns([]).borders == [] and columns([Rows()]).borders == [0]


# -- the twin ------------------------------------------------------------------------------------------------------

_ids = st.one_of(
    st.sampled_from(["d-1", "d-2", "", "x" * 256, "x" * 257, "a\0", "\ud800", "é", "a\tb"]), st.text(max_size=4)
)
_numbers = st.one_of(
    st.none(), st.booleans(), st.integers(-200, 200), st.floats(-200, 200), st.integers(), st.just("35.6"),
    st.sampled_from([1e308, -1e308, 10**400, 90, 180, 0, -0.0]),
)  # fmt: skip
_times = st.one_of(
    st.integers(NOW_MS - LIMITS.max_age_ms - 2, NOW_MS + LIMITS.max_ahead_ms + 2),
    st.floats(NOW_MS - 10, NOW_MS + 10), _numbers,
    st.sampled_from(["2026-11-25T08:00:00.120Z", "2026-11-25T08:00:60Z", "2026-11-25T08:00:00.9999Z", "noon"]),
)  # fmt: skip
_beacons = st.one_of(
    st.none(), st.sampled_from(["gateway:a", "gateway:*", f"IBEACON:{UUID}:1:2", "mac:1"]), st.integers(0, 3)
)
_fields: dict[str, st.SearchStrategy[Any]] = {
    "device": _ids, "time": _times, "lat": _numbers, "lng": _numbers, "user": st.one_of(st.none(), _ids, _numbers),
    "beacon": _beacons, "accuracy": _numbers, "speed": _numbers, "heading": _numbers, "rssi": _numbers,
    "mocked": _numbers, "id": _ids, "battery": _numbers, "received": _times,
}  # fmt: skip
_good = st.fixed_dictionaries(
    {
        "device": st.sampled_from(["d-1", "d-2"]), "time": st.integers(NOW_MS - 9, NOW_MS),
        "lat": st.floats(-90, 90), "lng": st.floats(-180, 180),
    },
    optional={
        "user": st.sampled_from(["u", None]), "accuracy": st.floats(-1, 99), "mocked": st.booleans(),
        "received": st.integers(0, 9),
    },
)  # fmt: skip
_nearly = st.builds(lambda ping, part: ping | part, _good, st.fixed_dictionaries({}, optional=_fields))
_pings = st.lists(st.one_of(_good, _nearly, st.fixed_dictionaries({}, optional=_fields), st.integers()), max_size=6)


@settings(max_examples=400, deadline=None)
@given(_pings, st.booleans(), st.booleans())
def test_all_at_once_equals_one_by_one(pings: list[Any], recorded: bool, ndjson: bool) -> None:
    lines = [json.dumps(p) for p in pings]
    body = "\n".join(lines) if ndjson else f"[{','.join(lines)}]"
    if ndjson and not lines:
        return
    together = decode_pings(body.encode(), ndjson=ndjson, now_ms=NOW_MS, limits=LIMITS, recorded=recorded)
    values = json.loads(f"[{','.join(lines)}]")
    apart = judge_pings(values, now_ms=NOW_MS, limits=LIMITS, recorded=recorded)
    assert repr(together) == repr(apart)  # NaN is not equal to itself
    assert len(together.rows) + len(together.rejected) == together.count == len(pings)
    columns([together.rows])
    json.dumps([r.detail for r in together.rejected]).encode()


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60), st.booleans())
def test_no_bytes_make_it_fail_otherwise_than_as_said(body: bytes, ndjson: bool) -> None:
    try:
        got = decoded(body, ndjson=ndjson)
    except BodyError as error:
        assert error.status == 400
    else:
        assert got.count == len(got.rows) + len(got.rejected)
