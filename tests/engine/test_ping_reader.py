"""Bodies read all at once: what is plain is read as the judge of single pings reads it, whatever else comes with it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import beacons, rejection, rows, scan
from engine.names import Names
from engine.ping import BodyError, columns, decode_pings
from engine.ping_reader import LETTERS_MAX, NAMES_MAX, PingReader
from engine.pings import Pings, located, with_own_names
from engine.scan_values import LOOKS, code_of
from engine.settings import PingLimits
from engine.wire import COLUMNS, NONE, Located

NOW_MS = 1_795_593_600_120
LIMITS = PingLimits()
GOOD = f'{{"device": "d-1", "time": {NOW_MS}, "lat": 35.5, "lng": 139.25}}'
UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
#: One for all tests: what a body leaves in its table must change nothing for those that follow.
READER = PingReader()


def values(batch: Located) -> list[tuple[Any, ...]]:
    """Each row with its names written out and its numbers as bytes: what is unknown is equal too."""
    named = [
        [None if n == NONE else batch.strings[n] for n in batch.column(name).tolist()]
        for name in ("device", "user", "beacon")
    ]
    others = [[x.tobytes() for x in batch.column(name)] for name in COLUMNS if name not in ("device", "user", "beacon")]
    assert others.pop() == []  # nothing was received but now
    return list(zip(*named, *others, strict=True))


def both(body: bytes, *, ndjson: bool = False, limits: PingLimits = LIMITS) -> bool:
    """Read a body, compare with what one by one would come of it; whether it was plain."""
    asked: dict[str, Any] = {"ndjson": ndjson, "now_ms": NOW_MS, "limits": limits}
    try:
        judged = decode_pings(body, **asked)
    except BodyError as error:
        with pytest.raises(BodyError) as caught:
            READER.read(body, **asked)
        assert (caught.value.status, caught.value.text) == (error.status, error.text)
        return False
    read = READER.read(body, **asked)
    assert (read.rejected, read.count) == (judged.rejected, judged.count)
    batch, expected = located([read.pings]), columns([judged.rows])
    assert values(batch) == values(expected)
    assert values(with_own_names(batch)) == values(expected)
    assert (batch.borders, with_own_names(batch).strings) == (expected.borders, expected.strings)
    assert (read.pings.devices, read.pings.times) == (judged.rows.devices, judged.rows.times)
    return READER.plain(body, **asked) is not None


# -- what is plain -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        "", '"id": "p-1"', '"user": "u-7"', '"user": null, "mocked": null',
        '"accuracy": 12.0, "speed": 1.1, "heading": 270',
        '"mocked": false', '"mocked": true', '"rssi": -60', '"accuracy": -1, "speed": -0.0', '"accuracy": 1e1',
        '"accuracy": 1e22, "speed": 33e20', '"accuracy": 125e-1', '"accuracy": 0.0000012345678901234567',
        '"received": {"any": [1, 2, "x"]}', '"received": null', '"x": [], "y": {}, "z": [[{"a": [1e999, -0]}], null]',
        '"tags": ["a", true, false, {"b": "c", "d": {}}]', '"x": 123456789012345678901234567890', '"x": 1E+5',
        '"note": "日本語"', '"user": "ユーザー"', '"accuracy": 5, "battery": 0.5',
    ],
)  # fmt: skip
def test_what_apps_send_is_plain_in_each_form(more: str) -> None:
    ping = GOOD.replace("}", f", {more}}}") if more else GOOD
    for body in (f"[{ping}]", ping, f" \r\n[\t{ping} , {GOOD}\n] ", f"[{GOOD},{ping},{GOOD}]"):
        assert both(body.encode()), body
    assert both(f"{GOOD}\n\n{ping}\r\n \t\n{GOOD}\n".encode(), ndjson=True)


@pytest.mark.parametrize(
    "time",
    [
        "1795593600120", "1795593600119.9", "1.79559360012e12", "17955936001200e-1", '"2026-11-25T17:00:00.120+09:00"',
        '"2026-11-25t08:00:00.120z"', '"2026-11-25 08:00:00.1209999Z"',
    ],
)  # fmt: skip
def test_times_are_plain_however_they_are_written(time: str) -> None:
    assert both(f"[{GOOD.replace(str(NOW_MS), time)}]".encode())


def test_a_sighting_is_plain_and_its_beacon_has_its_normal_form() -> None:
    heard = [
        {"device": "d", "time": NOW_MS, "beacon": beacon, "rssi": -60, "tx": -59}
        for beacon in (f"IBEACON:{UUID.upper()}:017:4", "gateway:a", f"ibeacon:{UUID}:17:4")
    ]
    assert both(json.dumps(heard).encode())
    assert both("\n".join(map(json.dumps, heard)).encode(), ndjson=True)
    assert not both(json.dumps([*heard, heard[0] | {"beacon": "mac:00"}]).encode())
    assert not both(json.dumps([*heard, heard[0] | {"rssi": 0}]).encode())
    assert not both(json.dumps([*heard, heard[0] | {"rssi": -127.000001}]).encode())


def test_pings_are_worked_in_the_order_of_their_time_and_at_equal_times_as_they_came() -> None:
    pings = [
        {"device": f"d-{n}", "time": NOW_MS - late, "lat": n, "lng": 1.5}
        for n, late in enumerate((3, 0, 5, 3, 5, 0, 3, 2))
    ]
    assert both(json.dumps(pings).encode())
    assert both("\n".join(map(json.dumps, pings)).encode(), ndjson=True)


@pytest.mark.parametrize(
    "change",
    [
        ('"d-1"', r'"d\u0001"'), ('"d-1"', r'"d\n"'), ('"d-1"', r'"\ud800"'), ('"d-1"', r'"\u00e9"'), ('"d-1"', '""'),
        ('"d-1"', '"' + "d" * 257 + '"'), ('"d-1"', '"' + "é" * 256 + '"'), ('"d-1"', "5"), ('"d-1"', '"d\x01"'),
        ('"device"', r'"devic\u0065"'), ("35.5", "91"), ("139.25", "-180.5"), ("35.5", "035.5"), ("35.5", "NaN"),
        ("35.5", "-Infinity"), ("35.5", "1e400"), ("35.5", "-0"), ("35.5", "null"), ("35.5", '"35.5"'),
        ("35.5", "0.1234567890123456789"), ("35.5", "35.5e"), ("35.5", "- 35.5"), (str(NOW_MS), '"noon"'),
        (str(NOW_MS), str(NOW_MS + 60_001)), (str(NOW_MS), str(NOW_MS - 86_400_001)), (str(NOW_MS), "1e30"),
        (str(NOW_MS), "9" * 40), (str(NOW_MS), "true"), ('"lat"', '"lot"'), ("}", ",}"), ("}", ', "lat": 1}'),
        ("}", ', "x": NaN}'), ("}", ', "x": [NaN]}'), ("}", ', "x": "\\ud800"}'), ("}", ', "x": "a\\"b"}'),
        ("}", ', "x": [1,]}'), ("}", ', "x": {"a" 1}}'), ("}", ', "x": [1}}'), ("}", ', "x": tru}'),
        ("}", ', "x": ' + "[" * 100 + "]" * 100 + "}"), ("}", ', "x": ' + "[" * 5_000 + "]" * 5_000 + "}"),
        ("}", ', "x": "\x1f"}'), ("}", ', "beacon": "gateway:a"}'), ("}", ', "mocked": 1}'), ("}", "} x"), ("}", "}}"),
        ("{", "[{"), ("}", "},"), (", ", " "), (": 35.5", " 35.5"), ("}", ""),
    ],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_the_judge(change: tuple[str, str]) -> None:
    ping = GOOD.replace(*change, 1)
    for body in (f"[{GOOD}, {ping}, {GOOD}]", f"[{ping}]", ping):
        assert not both(body.encode()), body
    assert not both(f"{GOOD}\n{ping}\n".encode(), ndjson=True)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" \n", b"[]", b"[ ]", b"{}", b"[", b"[,]", b"[{}]", b"null", b"5", b"[5]", b"[[]]",
        b"\xef\xbb\xbf[" + GOOD.encode() + b"]",
        b"[" + GOOD.encode() + b"]x", b"[" + GOOD.encode() + b"][]", b"[" + GOOD.encode() + b"]\0",
        b"\xff[]", b"[" * 100_000,
        b"[" + GOOD.encode() + b"]]", GOOD.encode() + GOOD.encode(), GOOD.encode() + b"\n" + GOOD.encode(),
        b"[" + GOOD.replace("d-1", "\ud800").encode("utf-8", "surrogatepass") + b"]",
        b"[" + GOOD.replace("lat", "l\xe9").encode("latin-1") + b"]", GOOD.encode("utf-16"),
        b"[" + GOOD.encode() + b"\x0b]",
    ],
)  # fmt: skip
def test_other_bodies_are_left_to_the_judge(body: bytes) -> None:
    assert not both(body)
    assert both(body, ndjson=True) == (body.startswith(b'{"device"') and b"\n" in body)


def test_a_batch_above_the_limit_is_refused_as_ever() -> None:
    limits = PingLimits(max_batch=3)
    assert both(f"[{', '.join([GOOD] * 3)}]".encode(), limits=limits)
    assert not both(f"[{', '.join([GOOD] * 4)}]".encode(), limits=limits)
    assert not both("\n".join([GOOD] * 4).encode(), ndjson=True, limits=limits)


# -- the twin ------------------------------------------------------------------------------------------------------

_texts = st.one_of(
    st.sampled_from(["d-1", "d-2", "", "é", "\ud800", 'a"b', "a\\", "\x7f", "x" * 256]), st.text(max_size=5)
)
_numbers = st.one_of(
    st.integers(-200, 200), st.integers(), st.floats(), st.floats(-180, 180), st.floats(-1e-5, 1e-5),
    st.sampled_from([-0.0, 1e400, 10**400, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 2**53 + 1]),
)  # fmt: skip
_free = st.recursive(
    st.one_of(st.none(), st.booleans(), _numbers, _texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_texts, inner, max_size=3)),
    max_leaves=6,
)
_times = st.one_of(
    st.integers(NOW_MS - 9, NOW_MS + 9), st.floats(NOW_MS - 9, NOW_MS + 9), _numbers,
    st.integers(NOW_MS - LIMITS.max_age_ms - 2, NOW_MS - LIMITS.max_age_ms + 2),
    st.sampled_from(["2026-11-25T08:00:00.120Z", "2026-11-25 17:00:00+09:00", "2026-11-25T08:00:60Z", "noon", ""]),
)  # fmt: skip
_good: dict[str, st.SearchStrategy[Any]] = {
    "device": st.sampled_from(["d-1", "d-2", "gerät", "x"]), "time": st.integers(NOW_MS - 9, NOW_MS + 9),
    "lat": st.floats(-90, 90), "lng": st.floats(-180, 180),
}  # fmt: skip
_optional: dict[str, st.SearchStrategy[Any]] = {
    "user": st.one_of(st.none(), _texts), "accuracy": _numbers, "speed": _numbers, "heading": _numbers,
    "rssi": _numbers, "mocked": st.one_of(st.none(), st.booleans()), "id": _texts, "received": _free, "extra": _free,
}  # fmt: skip
_odd = {name: st.one_of(_free, _numbers) for name in (*_good, *_optional)} | {
    "time": _times, "beacon": st.sampled_from(["gateway:a", "gateway:*", f"IBEACON:{UUID}:1:2", "mac:1", None, 5]),
}  # fmt: skip
_plain = st.fixed_dictionaries(_good, optional=_optional)
_nearly = st.builds(lambda ping, part: ping | part, _plain, st.fixed_dictionaries({}, optional=_odd))
_heard = st.fixed_dictionaries(
    {"device": _good["device"], "time": _good["time"], "beacon": st.sampled_from(["gateway:a", f"IBEACON:{UUID}:1:2"]),
     "rssi": st.floats(-128, 21)},
    optional={name: field for name, field in _optional.items() if name != "rssi"},
)  # fmt: skip


@st.composite
def _written(draw: st.DrawFn, odd: bool) -> tuple[bytes, bool]:
    """A body of pings, as one of many clients writes it, and whether it is one of lines."""
    pings = st.one_of(_plain, _nearly, _heard, _free) if odd else _plain
    ndjson, ascii_only, loose = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    found = draw(st.lists(pings, max_size=5))
    separators = (" ,\t", ":\r ") if loose else draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    lines = [json.dumps(ping, ensure_ascii=ascii_only, separators=separators) for ping in found]
    if len(lines) == 1 and draw(st.booleans()):
        text = lines[0]
    else:
        text = "\n".join(lines) if ndjson else f"[{(separators[0]).join(lines)}]"
    return text.encode("utf-8", "surrogatepass"), ndjson


@settings(max_examples=500, deadline=None)
@given(_written(odd=True))
def test_bodies_are_read_as_one_by_one(body: tuple[bytes, bool]) -> None:
    both(body[0], ndjson=body[1])


_BYTES = st.one_of(
    st.sampled_from(
        [b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"-", b"0", b"e", b".", b" ", b"\xc3", b"null", b"\t", b"\n",
         b"\xed\xa0\x80", b"\xef\xbb\xbf", b"NaN", b"\0", b"1e400", b'"lat":1,']
    ),
    st.binary(max_size=2),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(_written(odd=False), st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 3), _BYTES), max_size=3))
@example((b"[" + GOOD.encode() + b"]", False), [(1, 0, b"\xef\xbb\xbf")])
def test_mangled_bodies_are_read_as_one_by_one(body: tuple[bytes, bool], changes: list[tuple[int, int, bytes]]) -> None:
    text = bytearray(body[0])
    for at, size, new in changes:
        text[at % (len(text) + 1) : at % (len(text) + 1) + size] = new
    both(bytes(text), ndjson=body[1])


@settings(max_examples=500, deadline=None)
@given(
    whole=st.integers(-180, 180), decimals=st.text("0123456789", max_size=25), power=st.integers(-330, 330),
    value=st.floats(-180, 180), zeros=st.integers(0, 20),
)  # fmt: skip
@example(whole=9, decimals="007199254740993", power=0, value=-0.0, zeros=0)
@example(whole=0, decimals="", power=0, value=5e-324, zeros=20)
def test_numbers_are_read_as_python_reads_them(whole: int, decimals: str, power: int, value: float, zeros: int) -> None:
    written = [f"{whole}.{decimals or '0'}", f"{whole}e{power}", f"{whole}.{decimals or '0'}E{power % 25 - 12:+}"]
    written += [
        repr(value),
        f"{value:.17e}",
        f"0.{'0' * zeros}{decimals or '5'}",
        f"{whole}{decimals}",
        f"-{decimals or 0}",
    ]
    for number in written:
        for name in ("lng", "accuracy", "rssi", "speed"):
            ping = {"device": "d", "time": NOW_MS, "lat": 1, "lng": 2} | {name: "@"}
            both(f"[{json.dumps(ping)}]".replace('"@"', number).encode())


# -- names ---------------------------------------------------------------------------------------------------------


def test_the_limits_of_the_kernel_are_those_of_the_judge() -> None:
    assert (scan.ID_MAX, scan.MOST) == (rejection.ID_MAX, rows.MOST)
    assert (scan.RSSI_MIN, scan.RSSI_MAX) == (beacons.RSSI_MIN, beacons.RSSI_MAX)
    shortest = {"device": "d", "time": 0, "lat": 0, "lng": 0}
    assert len(json.dumps(shortest, separators=(",", ":"))) == scan.SHORTEST


def pings_named(reader: PingReader, names: list[str]) -> Pings:
    body = json.dumps([{"device": name, "time": NOW_MS, "lat": 1.5, "lng": 2.5, "user": name[::-1]} for name in names])
    pings = reader.plain(body.encode(), ndjson=False, now_ms=NOW_MS, limits=LIMITS)
    assert pings is not None
    return pings


def test_requests_that_share_a_table_or_none_become_one_input() -> None:
    reader, other = PingReader(), PingReader()
    first, second = pings_named(reader, ["d-1", "d-2", "d-1"]), pings_named(reader, ["d-3", "d-1"])
    third = pings_named(other, ["d-2", "d-4"])
    for requests in ([first], [first, second], [first, third, second], [third, third]):
        devices = [name for pings in requests for name in pings.devices]
        shared = located(requests)
        batch = with_own_names(shared)
        assert values(shared) == values(batch)
        assert [batch.strings[n] for n in batch.column("device").tolist()] == devices
        assert [batch.strings[n] for n in batch.column("user").tolist()] == [name[::-1] for name in devices]
        assert sorted(batch.strings) == sorted({*devices, *(name[::-1] for name in devices)})
        assert batch.borders[-1] == len(devices) and len(batch.borders) == len(requests)


def test_a_table_of_many_names_is_given_up_and_what_waits_keeps_its_own() -> None:
    reader = PingReader()
    before = pings_named(reader, ["d-1", "d-2"])
    names = [f"stranger-{n}" for n in range(NAMES_MAX // 2 + 1)]
    for start in range(0, len(names), 5_000):
        pings_named(reader, names[start : start + 5_000])
    assert len(before.strings) > NAMES_MAX
    after = pings_named(reader, ["d-2", "d-3"])
    assert len(after.strings) == 4 and before.devices == ["d-1", "d-2"]
    assert with_own_names(located([before, after])).strings == ["d-1", "d-2", "d-3", "1-d", "2-d", "3-d"]


def test_a_table_of_long_names_is_given_up_too() -> None:
    reader = PingReader()
    for n in range(LETTERS_MAX // (2 * 250 * 1_000) + 1):
        held = pings_named(reader, [f"{n:06}{k:06}{'x' * 238}" for k in range(1_000)])
    assert len(held.strings) < NAMES_MAX
    assert len(pings_named(reader, ["d"]).strings) == 1


def test_names_that_meet_in_the_table_are_not_looked_for_for_long() -> None:
    """Whoever knows how names are mixed could make each look for one take as long as there are names."""
    size = 128

    def table() -> tuple[Any, ...]:
        return np.full(size, -1, np.int32), np.empty(1 << 16, np.uint8), np.zeros(size, np.int64), np.zeros(1, np.int64)

    met: list[Any] = []
    for n in range(100_000):
        data, alone = np.frombuffer(b"%d" % n, np.uint8), table()
        code_of(data, *alone)
        if alone[0][7] == 0:
            met.append(data)
        if len(met) == LOOKS + 1:
            break
    whole = table()
    assert [code_of(data, *whole) for data in met] == [*range(LOOKS), NONE]


@pytest.mark.parametrize("ndjson", [False, True])
def test_no_object_brings_more_names_than_there_is_room_for(ndjson: bool) -> None:
    again = ", ".join(f'"device": "d-%d-{n}"' for n in range(9))
    pings = [f'{{"user": "u-%d", "beacon": "b-%d", {again}, "time": 1}}' % ((n,) * 11) for n in range(500)]
    reader = PingReader()
    body = ("\n".join(pings) if ndjson else f"[{','.join(pings)}]").encode()
    assert reader.plain(body, ndjson=ndjson, now_ms=NOW_MS, limits=LIMITS) is None
    assert len(pings_named(reader, ["d"]).strings) <= 3 * len(pings) + 1


def test_names_keep_their_numbers_while_the_table_grows() -> None:
    names, found = Names(), {}
    for n in range(3_000):
        name = f"d-{n * 7 % 500}"
        data = np.frombuffer(name.encode(), np.uint8)
        number = code_of(data, *names.room(1, data.size))
        names.grown()
        assert names.strings[number] == name and found.setdefault(name, number) == number
    assert len(names.strings) == 500
