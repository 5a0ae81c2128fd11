"""`nearcast replay` tells the very transitions that brute force over shapely and pyproj tells."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.exact import worlds
from tests.exact.oracle import Fence, Moves, transitions
from tests.exact.traces import TRACES, read_trace

T0 = 1_795_593_600_000


def replayed(folder: Path, pings: list[dict[str, Any]], fences: list[Fence]) -> Moves:
    """What the command says of a recording, with each line's id checked to be its own."""
    (folder / "fences").mkdir(parents=True)
    (folder / "nearcast.yaml").write_text("detection: {preset: instant}\n")
    collection = {"type": "FeatureCollection", "features": [f.feature() for f in fences]}
    (folder / "fences/all.geojson").write_text(json.dumps(collection))
    recording, out = folder / "recording.jsonl", folder / "transitions.jsonl"
    recording.write_text("".join(json.dumps(p) + "\n" for p in pings))
    nearcast = str(Path(sys.executable).with_name("nearcast"))
    command = [nearcast, "replay", str(folder), str(recording), "--transitions", str(out), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len({line["id"] for line in lines}) == len(lines)
    return {(line["device"], line["place"], line["kind"], ms(line["time"])) for line in lines}


def ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


def compare(folder: Path, pings: list[dict[str, Any]], fences: list[Fence]) -> None:
    expected, got = transitions(pings, fences), replayed(folder, pings, fences)
    missing, extra = sorted(expected - got), sorted(got - expected)
    assert not missing and not extra, f"{len(missing)} missing {missing[:3]}, {len(extra)} extra {extra[:3]}"
    assert expected, "the world is empty: nobody enters anything"


@pytest.mark.parametrize("seed", [11, 12])
def test_walkers_among_500_fences(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    compare(tmp_path / "site", worlds.walkers(150, 200, rng, T0), worlds.fences(500, rng))


def test_walkers_among_10_000_fences(tmp_path: Path) -> None:
    rng = random.Random(13)
    compare(tmp_path / "site", worlds.walkers(60, 150, rng, T0), worlds.fences(10_000, rng))


@pytest.mark.parametrize("name", TRACES)
def test_a_real_trace_among_fences_thrown_about_it(tmp_path: Path, name: str) -> None:
    points = read_trace(name)
    fences = worlds.round_trace(points, 500, random.Random(name))
    pings = [{"device": "d", "time": t, "lat": lat, "lng": lng} for t, lat, lng in points]
    compare(tmp_path / "site", pings, fences)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20, 30))
def test_many_walkers_among_10_000_fences(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    compare(tmp_path / "site", worlds.walkers(500, 400, rng, T0), worlds.fences(10_000, rng))


@pytest.mark.long
@pytest.mark.parametrize("name", TRACES)
def test_a_real_trace_among_10_000_fences(tmp_path: Path, name: str) -> None:
    points = read_trace(name)
    fences = worlds.round_trace(points, 10_000, random.Random(name))
    pings = [{"device": "d", "time": t, "lat": lat, "lng": lng} for t, lat, lng in points]
    compare(tmp_path / "site", pings, fences)
