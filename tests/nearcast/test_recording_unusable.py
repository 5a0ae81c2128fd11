"""Recordings that break off, or are of no use: what is good is read, and what is not is named with its place."""

from __future__ import annotations

import gzip
import json
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.wire import UserChanged
from nearcast.recording import RecordingError, Skipped, read_recordings, read_users
from nearcast.recording_gpx import read_gpx
from tests.nearcast.recordings import (
    FIXTURES,
    T0,
    fixes,
    ping,
    read,
    rec,
    skipped,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("name", "head", "line"),
    [
        ("a.jsonl.gz", "", ping),
        ("a.csv.gz", "device,time,lat,lng\n", lambda n: f"d-{n},{T0 + n},35.0,139.0\n"),
        ("a.rec.gz", "", lambda n: rec("2015-08-24T05:55:07Z", "*", _type="location", tst=n, lat=35, lon=139, tid="N")),
        ("a.txt.gz", "device,time,lat,lng\n", lambda n: f"d-{n},{T0 + n},35.0,139.0\n"),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_of_a_packed_file_that_breaks_off_each_whole_line_is_read_and_the_place_is_named(
    name: str, head: str, line: Callable[[int], str], share: float, tmp_path: Path
) -> None:
    text = head + "".join(map(line, range(5_000)))
    packed = gzip.compress(text.encode())
    cut = packed[: int(len(packed) * share)]
    left = zlib.decompressobj(31).decompress(cut)
    items = read(written(tmp_path, name, cut))
    whole = left.count(b"\n")
    assert 1_000 < len(fixes(items)) == whole - bool(head)
    assert [str(bad) for bad in skipped(items)] == [
        f"{tmp_path}/{name}:{whole + 1}: broken: the rest of the file is not read: the packed file ends too early"
    ]
    assert fixes(items) == fixes(read(written(tmp_path, name, gzip.compress(text.encode()))))[: len(fixes(items))]


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv.gz", "a.gpx.gz", "a.rec.gz"])
def test_what_only_has_the_name_of_a_packed_file_is_said_to_be_none(name: str, tmp_path: Path) -> None:
    items = skipped(read(written(tmp_path, name, ping(1))))
    why = "the rest of the file is not read: its packing is broken (Not a gzipped file (b'{\"'))"
    assert items[-1] == Skipped(str(tmp_path / name), 1, "broken", why)


USELESS = {
    "empty.gpx": "",
    "cut.gpx": "<gpx><trk><trks",
    "places.kml.gpx": '<?xml version="1.0"?>\n<kml xmlns="http://www.opengis.net/kml/2.2"><Document/></kml>',
    "no_times.gpx": (FIXTURES / "no_times.gpx").read_text(),
    "no_gzip.csv.gz": f"device,time,lat,lng\nd,{T0},1,2\n",
    "bad_rows.csv": "device,time,lat,lng\nd,noon,1,2\nd,noon,1\n",
    "bad_lines.jsonl": "{\n[1]\n" + ping(1, lat=91),
    "pretty_array.json": json.dumps([json.loads(ping(1)), json.loads(ping(2))], indent=2),
    "pretty_object.json": json.dumps(json.loads(ping(1)), indent=2),
    "array.json": json.dumps([json.loads(ping(1))]),
    "bad.rec": "not a line\n",
}


@pytest.mark.parametrize("name", sorted(USELESS))
@pytest.mark.parametrize("sort", [False, True])
def test_a_file_of_which_nothing_can_be_used_is_said_to_be_of_no_use(name: str, sort: bool, tmp_path: Path) -> None:
    path = written(tmp_path, name, USELESS[name])
    items = []
    with pytest.raises(RecordingError) as caught:
        items.extend(read_recordings([written(tmp_path, "good.jsonl", ping(1)), path], sort=sort))
    assert str(caught.value) == f"`{path}`: nothing that stands in it can be used"
    assert items or sort


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", ""),
        ("a.jsonl", "\n \n"),
        ("a.csv", "device,time,lat,lng\n"),
        ("a.gpx", "<gpx/>"),
        ("a.rec", ""),
        ("a.jsonl.gz", gzip.compress(b"")),
        ("a.jsonl", "{\n" + ping(1)),
        ("a.jsonl", "{\n" + '{"id": "u", "attributes": {}}\n'),
    ],
)
def test_a_file_in_which_nothing_stands_or_something_good_is_a_recording(
    name: str, content: str | bytes, tmp_path: Path
) -> None:
    list(read_recordings([written(tmp_path, name, content)]))


@pytest.mark.parametrize("name", ["pretty_array.json", "pretty_object.json", "array.json"])
def test_json_over_several_lines_is_told_to_be_one_object_a_line(name: str, tmp_path: Path) -> None:
    first = min(skipped(read(written(tmp_path, name, USELESS[name]))))
    assert (first.line, first.detail.rpartition(", ")[2]) == (1, "write one object a line")


def test_another_kind_of_xml_is_named() -> None:
    with BytesIO(USELESS["places.kml.gpx"].encode()) as stream:
        [named] = read_gpx(stream, file="a.gpx", device="me")
    why = "the rest of the file is not read: its root is `kml`, that of GPX is `gpx`: export it as GPX"
    assert named == Skipped("a.gpx", 2, "broken", why)


def test_users_are_lines_of_json_whatever_the_name_of_their_file(tmp_path: Path) -> None:
    good = UserChanged("u", attributes={"tier": "gold"})
    text = '{"id": "u", "attributes": {"tier": "gold"}}\n'
    assert list(read_users(written(tmp_path, "users.csv", text))) == [good]
    assert list(read_users(written(tmp_path, "users.gz", gzip.compress(text.encode())))) == [good]
    path = written(tmp_path, "users.csv", "id,tier\nu,gold\n")
    with pytest.raises(RecordingError) as caught:
        list(read_users(path))
    assert str(caught.value) == f"`{path}`: no line of it can be used, write each user as one JSON object a line"
