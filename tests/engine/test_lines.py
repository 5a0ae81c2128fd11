"""Lines read all at once: what is plain is read as the judge of single pings reads it, to the last bit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.lines import BLANK, ODD, PLAIN, LineReader
from engine.ping import columns, decode_pings
from engine.rejection import ID_MAX
from engine.rows import Rows
from engine.settings import PingLimits
from engine.wire import COLUMNS, NONE, Located

T0 = 1_795_593_600_000
LIMITS = PingLimits()
UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
GOOD = f'{{"device": "d-1", "time": {T0}, "lat": 35.5, "lng": 139.25}}'


def judged(line: bytes) -> Located | None:
    """The ping of a line by itself, as all other ways in take it; None when it is refused."""
    decoded = decode_pings(line, ndjson=True, now_ms=0, limits=LIMITS, recorded=True)
    assert len(decoded.rows) + len(decoded.rejected) == 1
    return columns([decoded.rows]) if len(decoded.rows) else None


def plain_rows(located: Located) -> list[tuple[Any, ...]]:
    """Each row with its names written out and its numbers as bytes: what is unknown is equal too."""
    named = [
        [None if n == NONE else located.strings[n] for n in located.column(name).tolist()]
        for name in ("device", "user", "beacon")
    ]
    others = [
        [x.tobytes() for x in located.column(name)] for name in COLUMNS if name not in ("device", "user", "beacon")
    ]
    return list(zip(*named, *others, strict=True))


def kinds_as_judged(lines: list[bytes]) -> list[int]:
    """Read the lines, compare each plain one with what the judge makes of it, and give what each is."""
    read = LineReader().read(b"".join(line + b"\n" for line in lines))
    expected = [judged(line) for line, kind in zip(lines, read.kind.tolist(), strict=True) if kind == PLAIN]
    assert None not in expected
    assert plain_rows(read.pings) == [row for one in expected if one is not None for row in plain_rows(one)]
    return list(read.kind.tolist())


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        '{"id": "p-1", "device": "d-42", "user": "u-7", "time": "2026-11-25T17:00:00.120+09:00", "lat": 35.690921, '
        '"lng": 139.700258, "accuracy": 12.0, "speed": 1.1, "heading": 270, "mocked": false}',
        f'{{"device":"d","time":{T0},"lat":-0.0,"lng":-180,"mocked":true,"received":{T0 + 7}}}',
        '\t { "device" : "d" , "time" : "2024-02-29T23:59:59Z" , "lat" : 1 , "lng" : 2 } \r',
        '{"device": "d", "time": "2026-11-25T17:00:00.1299999999-03:30", "lat": 1.5, "lng": 2.25, "received": null}',
        f'{{"device": "d", "time": {T0}, "beacon": "iBeacon:{UUID.upper()}:017:4", "rssi": -67, "lat": null}}',
        f'{{"device": "gerät", "user": "ユーザー", "time": {T0}, "lat": 35.68950123456789, "lng": 139.70025812345678}}',
        f'{{"device": "d", "time": {T0}, "lat": 1, "lng": 2, "accuracy": -1, "speed": 400, "x": 1e999, "y": true}}',
        f'{{"device": "d", "user": null, "time": {T0}, "lat": 1, "lng": 2, "rssi": 0, "beacon": null, "mocked": null}}',
        f'{{"device": "d", "time": {T0}.75, "lat": 1, "lng": 2, "received": "2026-11-25t17:00:00z", "accuracy": 1e1}}',
        f'{{"device": "d", "x": [1, {{"y": "z"}}], "time": {T0}, "lat": 1, "lng": 2, "received": 5.5, "w": {{}}}}',
        f'{{"device": "{"d" * ID_MAX}", "time": -5, "lat": 90, "lng": 180, "z": "", "w": null, "v": false}}',
    ],
)  # fmt: skip
def test_what_apps_send_is_plain(line: str) -> None:
    assert kinds_as_judged([line.encode()]) == [PLAIN]


@pytest.mark.parametrize(
    "line",
    [
        "", " \t\r",
    ],
)  # fmt: skip
def test_a_blank_line_is_no_line(line: str) -> None:
    assert LineReader().read(f"{line}\n{GOOD}".encode()).kind.tolist() == [BLANK, PLAIN]


@pytest.mark.parametrize(
    "change",
    [
        ('"d-1"', r'"d\u0001"'), ('"d-1"', '""'), ('"d-1"', '"' + "d" * (ID_MAX + 1) + '"'), ('"d-1"', "5"),
        ('"d-1"', '"d\x01"'), ("35.5", "91"), ("139.25", "-180.5"), ("35.5", "035.5"), ("35.5", "35."), ("35.5", ".5"),
        ("35.5", "+1"), ("35.5", "NaN"), ("35.5", "-"), ("35.5", "null"), ("35.5", '"35.5"'), ("35.5", "1e1x"),
        (str(T0), '"2026-02-29T00:00:00Z"'), (str(T0), '"2026-11-25T17:00:00"'), (str(T0), '"2026-11-25T24:00:00Z"'),
        (str(T0), '"2026-11-25T17:00:00.Z"'), (str(T0), '"0999-11-25T17:00:00Z"'), (str(T0), "253402300800000"),
        (str(T0), '"2026-11-25T17:00:00+24:00"'), (str(T0), "1e999"), (str(T0), "true"), ('"lat"', '"lot"'),
        ("}", ",}"), ("}", "}}"), ("}", "} x"), ("{", "[{"), (": 35.5", " 35.5"), (", ", " "), ('"lat"', "lat"),
        ("}", ""), ("139.25}", '139.25, "mocked": 1}'), ("139.25}", '139.25, "beacon": "gateway:a"}'),
        ("139.25}", '139.25, "accuracy": "5"}'), ("139.25}", '139.25, "received": "noon"}'),
        ("139.25}", '139.25, "x": tru}'), ("139.25}", '139.25, "x": nul}'), ("139.25}", '139.25, "x": 01}'),
    ],
)  # fmt: skip
def test_what_is_refused_is_not_plain(change: tuple[str, str]) -> None:
    line = GOOD.replace(*change, 1).encode()
    assert kinds_as_judged([GOOD.encode(), line, GOOD.encode()]) == [PLAIN, ODD, PLAIN]
    decoded = decode_pings(line, ndjson=True, now_ms=0, limits=LIMITS, recorded=True)
    assert len(decoded.rejected) == 1


@pytest.mark.parametrize(
    "more",
    [
        '"x": "\\n"', '"lat": 3', '"accuracy": 1e30', '"accuracy": 0.1234567890123456789', '"accuracy": -0',
        '"received": "2026-12-31T23:59:60Z"', '"x": ' + "[" * 61 + "]" * 61,
    ],
)  # fmt: skip
def test_a_good_ping_may_be_odd_and_is_then_left_to_the_judge(more: str) -> None:
    line = GOOD.replace("}", f", {more}}}").encode()
    assert kinds_as_judged([line]) == [ODD]
    assert judged(line) is not None


def test_a_line_that_is_not_utf8_is_odd_and_harms_no_other() -> None:
    bad = GOOD.replace("d-1", "d\xff").encode("latin-1")
    kana = GOOD.replace("d-1", "ア").encode()
    assert kinds_as_judged([GOOD.encode(), bad, GOOD.encode()]) == [PLAIN, ODD, PLAIN]
    assert LineReader().read(b"\n".join([bad, kana])).kind.tolist() == [ODD, ODD]
    assert LineReader().read(kana).kind.tolist() == [PLAIN]


def test_beacons_are_known_by_their_normal_form_and_others_are_refused() -> None:
    heard = [f"ibeacon:{UUID}:17:4", f"IBEACON:{UUID}:17:004", "mac:00", f"ibeacon:{UUID}:17:*", "gateway:a"]
    lines = [
        json.dumps({"device": "d", "time": T0 + n, "beacon": beacon, "rssi": rssi}).encode()
        for n, (beacon, rssi) in enumerate([*((b, -60) for b in heard), ("gateway:a", 0), ("gateway:a", 30)])
    ]
    assert kinds_as_judged(lines) == [PLAIN, PLAIN, ODD, ODD, PLAIN, ODD, ODD]


def test_names_keep_their_numbers_from_chunk_to_chunk() -> None:
    reader = LineReader()
    names = [f"d-{n * 7 % 500}" for n in range(3_000)]
    found = []
    for start in range(0, len(names), 40):
        text = "".join(GOOD.replace("d-1", name) + "\n" for name in names[start : start + 40])
        pings = reader.read(text.encode()).pings
        found += [(number, pings.strings[number]) for number in pings.column("device").tolist()]
    assert [name for _, name in found] == names
    assert len(set(found)) == 500


@settings(max_examples=400)
@given(
    whole=st.integers(-180, 180),
    decimals=st.text("0123456789", min_size=1, max_size=20),
    value=st.floats(-180, 180, allow_nan=False),
)
@example(whole=139, decimals="70025812345678", value=139.70025812345678)
@example(whole=9, decimals="007199254740993", value=-0.0)
@example(whole=0, decimals="0000000000000000", value=5e-324)
def test_numbers_are_read_as_python_reads_them(whole: int, decimals: str, value: float) -> None:
    lines = [
        GOOD.replace("139.25", number).encode() for number in (f"{whole}.{decimals}"[:24], repr(value), f"{value:.15f}")
    ]
    kinds = kinds_as_judged(lines)
    digits = [sum(c.isdigit() for c in line.decode().split('"lng": ')[1]) for line in lines]
    for kind, count, line in zip(kinds, digits, lines, strict=True):
        if count <= 17 and b"e" not in line.split(b'"lng"')[1] and judged(line) is not None:
            assert kind == PLAIN, "what a double is written as is nearly always read at once"


@settings(max_examples=300)
@given(
    year=st.integers(1000, 9999), month=st.integers(1, 13), day=st.integers(0, 32), hour=st.integers(0, 24),
    minute=st.integers(0, 60), second=st.integers(0, 60), fraction=st.text("0123456789", max_size=9),
    zone=st.sampled_from(["Z", "+09:00", "-00:30", "+23:59", "+24:00", "", "z", "+9:00"]),
)  # fmt: skip
def test_instants_are_read_as_the_judge_reads_them(
    year: int, month: int, day: int, hour: int, minute: int, second: int, fraction: str, zone: str
) -> None:
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{'.' + fraction if fraction else ''}{zone}"
    line = GOOD.replace(str(T0), f'"{text}"').encode()
    kinds = kinds_as_judged([line])
    assert (kinds == [PLAIN]) == (judged(line) is not None and second < 60)


_BYTES = st.sampled_from([b'"', b"\\", b"{", b"}", b",", b":", b"-", b"0", b"e", b".", b" ", b"\xc3", b"null", b"\t"])


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_mutated_lines_are_read_as_the_judge_reads_them(data: st.DataObject) -> None:
    fields = {
        "device": "d", "time": T0, "lat": 1.5, "lng": -2, "user": "u", "accuracy": 5, "mocked": True, "n": None,
        "received": "2026-11-25T17:00:00.120+09:00",
    }  # fmt: skip
    names = data.draw(st.permutations(sorted(fields)))
    text = bytearray(json.dumps({name: fields[name] for name in names}).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 3))] = data.draw(_BYTES)
    line = bytes(text)
    if line.strip(b" \t") and not line.isspace():
        kinds_as_judged([line])


def test_no_lines_are_no_pings() -> None:
    read = LineReader().read(b"")
    assert (read.kind.size, read.begins.tolist(), read.pings.borders) == (0, [0], [0])
    assert plain_rows(read.pings) == plain_rows(columns([Rows()]))
