"""Recordings of the tests: written into a folder, read, and what came of it."""

from __future__ import annotations

import json
from math import isnan
from pathlib import Path

from engine.rows import Rows
from engine.wire import NONE, Happened, UserChanged
from nearcast.recording import RecordedPings, Skipped, read_recording

FIXTURES = Path(__file__).parent.parent / "fixtures" / "recordings"
TRACES = FIXTURES.parent / "traces"
T0 = 1_795_593_600_000

Read = list[RecordedPings | Happened | UserChanged | Skipped]


def read(path: Path, device: str | None = None) -> Read:
    return list(read_recording(path, device=device))


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows_of(item: RecordedPings) -> Rows:
    """The pings of a part as lists, what is unknown as None."""
    located, of = item.located, lambda name: item.located.column(name).tolist()
    names = [[None if n == NONE else located.strings[n] for n in of(name)] for name in ("device", "user", "beacon")]
    known = [[None if isnan(x) else x for x in of(name)] for name in ("accuracy", "speed", "heading", "rssi")]
    mocked = [bool(flag) for flag in of("mocked")]
    return Rows(names[0], of("time"), of("lat"), of("lng"), *names[1:], *known, mocked, of("received"))


def parts(items: Read) -> list[Rows]:
    return [rows_of(item) for item in items if isinstance(item, RecordedPings)]


def fixes(items: Read) -> list[tuple[str, int, float, float]]:
    return [
        (rows.devices[n], rows.times[n], rows.lats[n], rows.lngs[n]) for rows in parts(items) for n in range(len(rows))
    ]


def skipped(items: Read) -> list[Skipped]:
    return [item for item in items if isinstance(item, Skipped)]


def ping(n: int, **more: object) -> str:
    return json.dumps({"device": f"d-{n}", "time": T0 + n, "lat": 35.0, "lng": 139.0, **more}) + "\n"


def rec(received: str, kind: str, **message: object) -> str:
    return f"{received}\t{kind:18}\t{json.dumps(message)}\n"


REC = (
    rec("2015-08-24T05:55:07Z", "*", _type="location", tst=1440395361, lat=52.5, lon=10.25, acc=3000, vel=36, tid="NE")
    + rec("2015-08-24T05:55:14Z", "-", tst="1440363922", _type="lwt")
    + rec("2015-08-24T06:16:05Z", "*", _type="location", tst=1440396651, lat=52, lon=10, topic="owntracks/jane/phone")
    + "not a line\n"
    + rec("2015-08-24T06:16:06Z", "*", _type="location", lat=52, lon=10, tid="NE")
)
