"""Recordings: every format gives the same inputs, and no line of any file stops the reading."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.wire import Happened, UserChanged
from nearcast.recording import RecordedPings, RecordingError, Skipped, read_recordings
from tests.nearcast.recordings import (
    FIXTURES,
    REC,
    T0,
    TRACES,
    Read,
    fixes,
    parts,
    ping,
    read,
    rows_of,
    skipped,
    written,
)

if TYPE_CHECKING:
    pass


def test_a_line_is_a_ping_a_sighting_an_event_or_a_user_by_its_fields(tmp_path: Path) -> None:
    lines = [
        {"id": "u-1", "attributes": {"tier": "gold"}, "consent": {"location_marketing": True}, "locale": "ja"},
        {
            "device": "d-1",
            "user": "u-1",
            "time": "2026-11-25T17:00:00.1209+09:00",
            "lat": 35.5,
            "lng": 139.5,
            "type": 3,
        },
        {"device": "d-1", "time": T0 + 5, "beacon": "ibeacon:F7826DA6-4FA2-4E98-8024-BC5B71E0893E:17:4", "rssi": -67},
        {"id": "e-1", "user": "u-1", "type": "purchase", "time": T0 + 6, "data": {"device": "till", "lat": 1}},
        {"id": "e-2", "user": "u-1", "type": "user.updated", "time": T0 + 7, "data": {"attributes": {"tier": None}}},
        {"device": "d-1", "time": T0 + 8, "received": T0 + 9_000, "lat": 35, "lng": 139, "accuracy": -1},
        {"id": "u-2"},
    ]
    path = written(tmp_path, "a.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n\n")
    items = read(path)
    assert [type(item).__name__ for item in items] == [
        "UserChanged",
        "RecordedPings",
        "Happened",
        "UserChanged",
        "RecordedPings",
        "UserChanged",
    ]
    assert items[0] == UserChanged(
        "u-1", attributes={"tier": "gold"}, consent={"location_marketing": True}, locale="ja"
    )
    first, last = items[1], items[4]
    assert isinstance(first, RecordedPings)
    assert isinstance(last, RecordedPings)
    assert rows_of(first).times == [T0 + 120, T0 + 5]
    assert rows_of(first).users == ["u-1", None]
    assert rows_of(first).beacons == [None, "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:17:4"]
    assert items[2] == Happened("u-1", "e-1", "purchase", T0 + 6, {"device": "till", "lat": 1})
    assert items[3] == UserChanged("u-1", attributes={"tier": None}, id="e-2", time_ms=T0 + 7)
    assert rows_of(last).received == [T0 + 9_000]


def test_bad_lines_are_counted_where_they_stand_and_harm_nobody(tmp_path: Path) -> None:
    text = ping(1) + "{broken\n" + ping(2, lat=91) + ping(3) + '{"device": "d", "time": 1}\n'
    text += '{"id": "e", "user": "u", "type": "entered", "time": 1}\n[1]\n' + ping(4, time="noon")
    text += '{"id": "u", "consent": {"ads": "yes"}}\n\xff\n' + ping(5)
    items = read(written(tmp_path, "a.jsonl", text.encode("latin-1")))
    assert [device for device, *_ in fixes(items)] == ["d-1", "d-3", "d-5"]
    assert [(bad.line, bad.reason) for bad in skipped(items)] == [
        (2, "bad_json"),
        (3, "out_of_range"),
        (5, "missing_field"),
        (6, "out_of_range"),
        (7, "wrong_type"),
        (8, "wrong_type"),
        (9, "wrong_type"),
        (10, "bad_json"),
    ]
    assert str(skipped(items)[1]).startswith(
        f"{tmp_path}/a.jsonl:3: out_of_range: `lat` must be from -90 to 90 degrees"
    )


def test_old_and_future_pings_are_not_judged_by_the_machines_clock(tmp_path: Path) -> None:
    items = read(written(tmp_path, "a.jsonl", ping(1, time=-5) + ping(2, time=4_000_000_000_000)))
    assert [time for _, time, *_ in fixes(items)] == [-5, 4_000_000_000_000]


@settings(max_examples=40, deadline=None)
@given(kinds=st.lists(st.sampled_from("ppppbeux"), max_size=30))
def test_many_lines_read_at_once_give_what_they_give_one_by_one(
    kinds: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    line = {
        "p": ping,
        "b": lambda n: ping(n, lat="x"),
        "e": lambda n: (
            json.dumps({"id": f"e-{n}", "user": "u", "type": "t", "time": n, "data": {"device": "x"}}) + "\n"
        ),
        "u": lambda n: json.dumps({"id": f"u-{n}", "attributes": {"n": n}}) + "\n",
        "x": lambda n: "{\n",
    }
    lines = [line[kind](n) for n, kind in enumerate(kinds)]
    folder = tmp_path_factory.mktemp("twin")
    items = read(written(folder, "a.jsonl", "".join(lines)))
    named = [line for item in items if isinstance(item, RecordedPings) for line in item.lines]
    assert named == [time - T0 + 1 for _, time, *_ in fixes(items)]
    whole = flat(items)
    single = [item for n, text in enumerate(lines) for item in flat(read(written(folder, f"{n}.jsonl", text)))]
    assert sorted(whole, key=repr) == sorted(single, key=repr)
    in_order = [item for item in whole if item[0] != "skipped"]
    assert in_order == [item for item in single if item[0] != "skipped"]


def flat(items: Read) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for item in items:
        if isinstance(item, RecordedPings):
            found.extend(("ping", device, time) for device, time, *_ in fixes([item]))
        elif isinstance(item, Skipped):
            found.append(("skipped", item.reason, item.detail))
        else:
            found.append(("other", repr(item)))
    return found


def test_csv_has_the_names_of_a_ping_as_header(tmp_path: Path) -> None:
    text = "id,Device,user,time,lat,lng,accuracy,speed,heading,mocked,received,shop\r\n"
    text += f'p,"d,1",u,{T0},35.5,139.5,12.5,,270,true,{T0 + 1},x\r\n'
    text += "p,d-2,,2026-11-25T08:00:00Z,35.5,139.5,,1.5,,,,\r\n"
    items = read(written(tmp_path, "a.csv", "\ufeff" + text))
    assert skipped(items) == []
    rows = parts(items)[0]
    assert rows.devices == ["d,1", "d-2"]
    assert rows.users == ["u", None]
    assert rows.times == [T0, T0]
    assert rows.accuracies == [12.5, None]
    assert rows.speeds == [None, 1.5]
    assert rows.headings == [270, None]
    assert rows.mocked == [True, False]
    assert rows.received == [T0 + 1, T0]


def test_csv_of_sightings_and_with_other_marks_between_cells(tmp_path: Path) -> None:
    text = f"device;time;beacon;rssi;tx\nd;{T0};gateway:door;-60;-59\n"
    rows = parts(read(written(tmp_path, "a.csv", text)))[0]
    assert (rows.beacons, rows.rssis) == (["gateway:door"], [-60])
    items = read(written(tmp_path, "b.tsv", f"time\tlat\tlng\n{T0}\t1\t2\n"), device="me")
    assert fixes(items) == [("me", T0, 1, 2)]


def test_bad_rows_of_csv_are_counted_at_their_line(tmp_path: Path) -> None:
    text = f'device,time,lat,lng\nd,{T0},x,2\nd,{T0}\n\n,{T0},1,2\n"d\ne",{T0},1,2\nd,{T0},nan,2\nd,{T0},1,2\n'
    items = read(written(tmp_path, "a.csv", text))
    assert [(bad.line, bad.reason) for bad in sorted(skipped(items))] == [
        (2, "wrong_type"),
        (3, "broken"),
        (5, "missing_field"),
        (7, "out_of_range"),
        (8, "wrong_type"),
    ]
    assert len(fixes(items)) == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "newest_first.csv",
            ":1: the header has no column `device`, `time`, `lat`, `lng`, got `user_id`, `tracked_at`, `latitude`, "
            "`longitude`, `elevation`, `accuracy`, name the device with `--device`, rename `tracked_at` to `time`, "
            "rename `latitude` to `lat`, rename `longitude` to `lng`",
        ),
        ("opentracks_export.csv", "rename `#time` to `time`, rename `latitude` to `lat`, rename `longitude` to `lng`"),
    ],
)
def test_a_header_of_another_program_is_told_how_to_be_renamed(name: str, message: str) -> None:
    with pytest.raises(RecordingError, match=r"the header has no column") as caught:
        read(FIXTURES / name)
    assert message.replace("got `user_id`, ", "")[-60:] in str(caught.value)


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_a_table_without_a_header_is_told_to_begin_with_one(text: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", text)
    with pytest.raises(RecordingError) as caught:
        read(path)
    assert str(caught.value) == f"`{path}` has no header, begin it with one such as `device,time,lat,lng`"


@pytest.mark.parametrize("cell", ["35,69", "nan", "12 m", "1_000"])
def test_a_cell_that_is_no_number_is_told_how_to_write_one(cell: str, tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", f"device;time;lat;lng\nd;{T0};{cell};139.7\n")
    [named] = skipped(read(path))
    mend = "write digits, with `.` before the decimals, or leave it out"
    assert str(named) == f'{path}:2: wrong_type: `lat` must be a number, got `"{cell}"`, {mend}'


def test_a_renamed_export_is_read_whole(tmp_path: Path) -> None:
    text = (FIXTURES / "newest_first.csv").read_text()
    head = "user;time;lat;lng;elevation;accuracy"
    items = read(written(tmp_path, "a.csv", head + text[text.index("\n") :]), device="phone")
    assert (len(fixes(items)), skipped(items)) == (416, [])


@pytest.mark.parametrize(
    ("path", "count", "reasons"),
    [
        (FIXTURES / "apple_watch.gpx", 44, {}),
        (FIXTURES / "pause_resume.gpx", 4, {"no_ping": 2, "out_of_range": 2}),
        (FIXTURES / "no_times.gpx", 0, {"missing_field": 34}),
        (FIXTURES / "empty_segment.gpx", 9, {}),
        (FIXTURES / "bom.gpx", 0, {"no_ping": 1}),
        (FIXTURES / "timezone.gpx", 1, {"no_ping": 1}),
        (FIXTURES / "gpx10_all_fields.gpx", 1, {"no_ping": 7}),
        (FIXTURES / "gpx11_all_fields.gpx", 1, {"no_ping": 7}),
        (TRACES / "limerick_bus.gpx", 2_144, {}),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else None,
)
def test_real_gpx_files_give_their_track_points(path: Path, count: int, reasons: dict[str, int]) -> None:
    items = read(path, device="me")
    found = fixes(items)
    assert (len(found), Counter(bad.reason for bad in skipped(items))) == (count, reasons)
    assert {device for device, *_ in found} <= {"me"}


def test_gpx_fields_mean_what_a_ping_means() -> None:
    rows = parts(read(FIXTURES / "apple_watch.gpx"))[0]
    first = (rows.devices[0], rows.times[0], rows.lats[0], rows.lngs[0])
    assert first == ("apple_watch", 1_576_441_195_000, 32.064999, -81.097216)
    assert (rows.accuracies[0], rows.speeds[0], rows.headings[0]) == pytest.approx((1.801682, 1.310662, 101.747269))
    assert fixes(read(FIXTURES / "timezone.gpx"))[0][1] == 1_610_051_819_179  # 22:51:59.179 at +01:15
    assert fixes(read(FIXTURES / "gpx11_all_fields.gpx"))[0][1] == 1_357_041_604_000  # no offset: UTC


def test_gpx_with_a_document_type_is_refused_before_it_can_do_harm(tmp_path: Path) -> None:
    bomb = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY lol "lol"><!ENTITY lol2 "&lol;&lol;">]>\n<gpx>&lol2;</gpx>'
    items = read(written(tmp_path, "a.gpx", bomb))
    assert [(bad.line, bad.reason) for bad in skipped(items)] == [(1, "broken")]
    assert "a document type declaration can hide entities" in str(items[0])


def test_gpx_that_breaks_off_gives_what_stands_before(tmp_path: Path) -> None:
    text = (FIXTURES / "empty_segment.gpx").read_text()
    items = read(written(tmp_path, "a.gpx", text[: text.index("</trkpt>", 600) + 8]))
    assert fixes(items)
    assert [bad.reason for bad in skipped(items)] == ["broken"]


def test_owntracks_locations_are_pings_received_when_the_line_says(tmp_path: Path) -> None:
    items = read(written(tmp_path, "a.rec", REC))
    rows = parts(items)[0]
    assert fixes(items) == [("NE", 1_440_395_361_000, 52.5, 10.25), ("jane/phone", 1_440_396_651_000, 52.0, 10.0)]
    assert rows.received == [1_440_395_707_000, 1_440_396_965_000]
    assert (rows.accuracies, rows.speeds) == ([3000, None], [10.0, None])
    assert [(bad.line, bad.reason) for bad in sorted(skipped(items))] == [
        (2, "no_ping"),
        (4, "broken"),
        (5, "missing_field"),
    ]
    assert {device for device, *_ in fixes(read(tmp_path / "a.rec", device="me"))} == {"me"}


def test_a_packed_file_is_read_as_its_name_says(tmp_path: Path) -> None:
    packed = gzip.compress((FIXTURES / "apple_watch.gpx").read_bytes())
    assert len(fixes(read(written(tmp_path, "watch.gpx.gz", packed)))) == 44
    assert fixes(read(tmp_path / "watch.gpx.gz"))[0][0] == "watch"


@pytest.mark.parametrize(
    ("content", "device"),
    [
        (ping(1), "d-1"),
        (
            "<gpx><trk><trkseg><trkpt lat='1' lon='2'><time>2026-01-01T00:00:00Z</time></trkpt></trkseg></trk></gpx>",
            "x",
        ),
        (f"device,time,lat,lng\nd-1,{T0},1,2\n", "d-1"),
        (REC, "NE"),
    ],
)
def test_a_file_without_a_telling_name_is_known_by_its_beginning(content: str, device: str, tmp_path: Path) -> None:
    assert fixes(read(written(tmp_path, "x.txt", content)))[0][0] == device


def test_what_cannot_be_read_at_all_says_why(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=r"nope.jsonl` cannot be read: No such file or directory"):
        read(tmp_path / "nope.jsonl")
    with pytest.raises(RecordingError, match=r"is of no known format, give JSONL, CSV with a header, GPX or OwnTracks"):
        read(written(tmp_path, "x.bin", b"\x00\x01\x02"))
    with pytest.raises(RecordingError, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "lines"),
    [
        ("a.csv", f"device,time,lat,lng\n\nd,{T0},1,2\nd,{T0},91,2\nd,{T0}\nd,{T0},3,4\n", [3, 6]),
        ("a.csv", f"\n \ndevice,time,lat,lng\nd,{T0},1\nd,{T0},1,2\n", [5]),
        ("a.rec", REC, [1, 3]),
        ("a.jsonl", "\n" + ping(1) + "\n" + ping(2) + ping(3, lat=91) + ping(4, id="e\\u0301") + ping(5), [2, 4, 6, 7]),
    ],
)
def test_each_ping_knows_its_line(name: str, content: str, lines: list[int], tmp_path: Path) -> None:
    path = written(tmp_path, name, content)
    pings = [item for item in read(path) if isinstance(item, RecordedPings)]
    assert [line for item in pings for line in item.lines] == lines
    assert {item.file for item in pings} == {str(path)}
    assert len(fixes(list(pings))) == len(lines)


def test_an_empty_file_is_a_recording_of_nothing(tmp_path: Path) -> None:
    assert read(written(tmp_path, "a.jsonl", "")) == []
    assert [bad.reason for bad in skipped(read(written(tmp_path, "a.gpx", "")))] == ["broken"]


def test_sorting_puts_all_files_in_order_of_time_and_ties_as_they_were_read(tmp_path: Path) -> None:
    def event(name: str, time: int) -> str:
        return json.dumps({"id": name, "user": "u", "type": "t", "time": T0 + time}) + "\n"

    one = ping(5) + event("e-5", 5) + json.dumps({"id": "u", "attributes": {}}) + "\n" + ping(9) + ping(1, user="u-1")
    two = event("e-0", 0) + ping(5, device="later") + ping(2, beacon="gateway:a", rssi=-50) + event("e-9", 9) + "{\n"
    paths = [written(tmp_path, "1.jsonl", one), written(tmp_path, "2.jsonl", two)]
    items = list(read_recordings(paths, sort=True))
    told: list[str] = []
    for item in items:
        if isinstance(item, RecordedPings):
            told += rows_of(item).devices
        elif not isinstance(item, Skipped):
            told.append(item.id if isinstance(item, Happened) else "user")
    assert told == ["e-0", "d-1", "d-2", "d-5", "e-5", "user", "later", "d-9", "e-9"]
    rows = parts(items)
    assert [user for part in rows for user in part.users][:2] == ["u-1", None]
    sighting = next(part for part in rows if "gateway:a" in part.beacons)
    at = sighting.beacons.index("gateway:a")
    assert isnan(sighting.lats[at])
    assert sighting.rssis[at] == -50
    assert len(skipped(items)) == 1


def test_sorting_a_shuffled_file_gives_the_file_in_order(tmp_path: Path) -> None:
    order = [(n * 7_919) % 25_000 for n in range(25_000)]
    path = written(tmp_path, "a.jsonl", "".join(ping(n) for n in order))
    found = fixes(list(read_recordings([path], sort=True)))
    assert [time - T0 for _, time, *_ in found] == list(range(25_000))
    assert found[17] == ("d-17", T0 + 17, 35.0, 139.0)


BASES = {
    "a.jsonl": (ping(1) + ping(2, beacon="gateway:a", rssi=-50)).encode() + b'{"id":"u","consent":{"a":true}}\n',
    "a.csv": f"device,time,lat,lng\nd,{T0},1,2\n".encode(),
    "a.gpx": (FIXTURES / "pause_resume.gpx").read_bytes()[:3_000],
    "a.rec": REC.encode(),
}


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_mutated_recording_is_read_or_refused_and_never_crashes(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    name = data.draw(st.sampled_from(sorted(BASES)))
    text = bytearray(BASES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 6))] = data.draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"NaN", b"1e999", b'"', b"\\ud800", b"\n", b"<", b"&#0;"])
            )
        )
    path = written(tmp_path_factory.mktemp("mutated"), name, bytes(text))
    try:
        items = read(path)
    except RecordingError as error:
        assert "\n" not in str(error)
    else:
        assert all(map(len, parts(items)))
