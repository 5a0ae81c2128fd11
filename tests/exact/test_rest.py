"""A phone at rest on the border of a fence does not flap, and one that walks in is found soon: default detection.

The noise of fixes is that of phones in streets: it wanders (an AR(1) process), so that many fixes in a row err alike.
"""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

T0 = 1_795_593_600_000
STEP_S = 5.0
TAU_S = 30.0
LAT, LNG, RADIUS_M = 35.690921, 139.700258, 100.0
LAT_M, LNG_M = 110_940.0, 90_470.0
#: The radius that holds 68 of 100 fixes of a two-dimensional normal distribution, in its sigmas.
ACCURACY = 1.51
PACE_M = 1.4

RULE = """\
id: hello
state: live
trigger: {event: entered, place: {id: place}}
audience: {all: [{consent: location_marketing}]}
actions: [{push: {template: hello}}]
"""


def wander(rng: np.random.Generator, devices: int, steps: int, sigma_m: float) -> Any:
    """AR(1) noise: (device, step, axis) in metres."""
    keep = math.exp(-STEP_S / TAU_S)
    noise = np.empty((devices, steps, 2))
    noise[:, 0] = rng.normal(0, sigma_m, (devices, 2))
    for k in range(1, steps):
        noise[:, k] = keep * noise[:, k - 1] + rng.normal(0, sigma_m * math.sqrt(1 - keep**2), (devices, 2))
    return noise


def recording(path: Path, points_m: Any, sigma_m: float) -> None:
    """Fixes at points in metres east and north of the centre, all devices side by side in time."""
    with path.open("w") as stream:
        for k in range(points_m.shape[1]):
            for n in range(points_m.shape[0]):
                east_m, north_m = points_m[n, k]
                ping = {
                    "device": f"d{n}", "time": T0 + round(k * STEP_S * 1000) + n, "accuracy": ACCURACY * sigma_m,
                    "lat": LAT + north_m / LAT_M, "lng": LNG + east_m / LNG_M,
                }  # fmt: skip
                stream.write(json.dumps(ping) + "\n")


def replayed(folder: Path, points_m: Any, sigma_m: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(transitions, decisions) of a recording on a site with one round fence and default detection."""
    for name in ("fences", "rules", "templates"):
        (folder / name).mkdir(parents=True)
    place = {
        "type": "Feature", "id": "place", "properties": {"radius_m": RADIUS_M, "timezone": "Asia/Tokyo"},
        "geometry": {"type": "Point", "coordinates": [LNG, LAT]},
    }  # fmt: skip
    (folder / "fences/all.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [place]}))
    (folder / "rules/all.yaml").write_text(RULE)
    (folder / "templates/hello.yaml").write_text('en: {title: "Hello", body: "Hello"}\n')
    recording(folder / "recording.jsonl", points_m, sigma_m)
    outs = [folder / "transitions.out", folder / "decisions.out"]
    words = [str(Path(sys.executable).with_name("nearcast")), "replay", str(folder), str(folder / "recording.jsonl")]
    words += ["--assume-consent", "--json", "--transitions", str(outs[0]), "--decisions", str(outs[1])]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    transitions, decisions = ([json.loads(line) for line in out.read_text().splitlines()] for out in outs)
    return transitions, decisions


@pytest.mark.parametrize("sigma_m", [5.0, 10.0])
def test_an_hour_at_rest_on_a_border_brings_at_most_one_message(tmp_path: Path, sigma_m: float) -> None:
    rng = np.random.default_rng(71)
    devices, steps = 200, int(3_600 / STEP_S)
    bearing = rng.uniform(0, 2 * math.pi, devices)
    edge_m = RADIUS_M * np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    points_m = edge_m[:, None, :] + wander(rng, devices, steps, sigma_m)
    transitions, decisions = replayed(tmp_path / "site", points_m, sigma_m)
    messages = Counter(d["user"] for d in decisions if d["outcome"] == "send")
    entered = Counter(t["device"] for t in transitions if t["kind"] == "entered")
    assert len(entered) > 0.9 * devices, "hardly anybody was found at the place"
    assert max(messages.values()) == 1
    within = np.hypot(points_m[..., 0], points_m[..., 1]) <= RADIUS_M
    naive = (within[:, 1:] & ~within[:, :-1]).sum() / devices
    assert statistics.mean(entered.values()) <= naive / 4, "presence flaps with the noise"
    exited = Counter(t["device"] for t in transitions if t["kind"] == "exited")
    assert all(entered[device] - exited[device] in (0, 1) for device in entered)


@pytest.mark.parametrize("sigma_m", [5.0, 10.0])
def test_who_walks_in_is_found_within_15_seconds_of_the_border(tmp_path: Path, sigma_m: float) -> None:
    rng = np.random.default_rng(72)
    devices, steps = 200, 60
    bearing = rng.uniform(0, 2 * math.pi, devices)
    from_m = RADIUS_M + rng.uniform(120, 160, devices)
    way_m = from_m[:, None] - PACE_M * STEP_S * np.arange(steps)  # to the middle and beyond
    heading = np.stack([np.sin(bearing), np.cos(bearing)], axis=1)
    points_m = way_m[:, :, None] * heading[:, None, :] + wander(rng, devices, steps, sigma_m)
    transitions, decisions = replayed(tmp_path / "site", points_m, sigma_m)
    crossed_s = {f"d{n}": (from_m[n] - RADIUS_M) / PACE_M + n / 1000 for n in range(devices)}
    first: dict[str, float] = {}
    for told in transitions:
        if told["kind"] == "entered":
            first.setdefault(told["device"], datetime.fromisoformat(told["time"]).timestamp() - T0 / 1000)
    assert first.keys() == crossed_s.keys(), "somebody walked through the place and was not found"
    late_s = [first[device] - crossed_s[device] for device in first]
    assert abs(statistics.median(late_s)) <= 15
    assert np.quantile(np.abs(late_s), 0.95) <= 30
    assert Counter(d["user"] for d in decisions if d["outcome"] == "send") == Counter(crossed_s.keys())
