"""`python -m benchmarks.peers.by_hand SITE RECORDING OUT`: a replay as a good script does it, without Nearcast.

Reads SITE's fences and the pings of RECORDING (JSONL), writes who entered and left which fence when to OUT (JSONL).
Imports nothing of the product.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import numpy as np
import orjson
import shapely

from benchmarks.peers.recipes import match_grouped

CHUNK = 20_000


def main(site: Path, recording: Path, out: Path) -> None:
    """All of it."""
    features = orjson.loads((site / "fences/city.geojson").read_bytes())["features"]
    ids = [feature["id"] for feature in features]
    polygons = np.array([shapely.geometry.shape(feature["geometry"]) for feature in features], dtype=object)
    tree = shapely.STRtree(polygons)
    shapely.prepare(polygons)
    inside: dict[str, set[int]] = {}
    nothing: set[int] = set()
    with recording.open("rb") as lines, out.open("wb") as told:
        while chunk := [orjson.loads(line) for line in islice(lines, CHUNK)]:
            lat, lng = np.array([p["lat"] for p in chunk]), np.array([p["lng"] for p in chunk])
            at, fence = match_grouped(tree, polygons, lat, lng)
            found: dict[int, set[int]] = {}
            for n, f in zip(at.tolist(), fence.tolist(), strict=True):
                found.setdefault(n, set()).add(f)
            for n, ping in enumerate(chunk):
                now, was = found.get(n, nothing), inside.get(ping["device"], nothing)
                if now != was:
                    for kind, fences in (("entered", now - was), ("exited", was - now)):
                        for f in fences:
                            told.write(_line(ping, ids[f], kind))
                    inside[ping["device"]] = now


def _line(ping: dict[str, object], place: str, kind: str) -> bytes:
    time_ms = ping["time"]
    assert isinstance(time_ms, int)
    time = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return orjson.dumps({"device": ping["device"], "place": place, "kind": kind, "time": time}) + b"\n"


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
