"""How the fence index scales: what a point costs as fences, corners and sizes grow, what a build and an edit cost.

Owns the worlds for it, all drawn from seeds, and the figures as plain data. `run(quick)` gives a list of `Figure`: who
wants a table or a curve groups them by `curve`. Figures of one curve come from one process, their rounds in turn, so
that a busy neighbour slows all alike; times are of the processor, and the least of the rounds counts.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import record
from geo.index import FenceIndex
from geo.shape import Area, Circle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from geo.shape import Shape

LAT, LNG = 35.7, 139.7
LAT_M, LNG_M = 110_950.0, 90_500.0
FENCE_M2 = 92_000.0
"""The ground that each fence of the even city has: at that, a point is in about 4.6."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure: of a curve, the value at `at`."""

    curve: str
    at: str
    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything."""

    fences: tuple[int, ...]
    corners: tuple[int, ...]
    mixed: int
    builds: tuple[int, ...]
    edited: int
    edits: int
    points: int
    rounds: int


FULL = Sizes(
    (1_000, 10_000, 50_000, 200_000), (8, 64, 1_000, 10_000), 10_000, (10_000, 100_000, 1_000_000), 100_000,
    edits=40, points=1_000_000, rounds=11,
)  # fmt: skip
QUICK = Sizes((1_000, 10_000), (8, 64, 1_000), 2_000, (10_000,), 10_000, edits=20, points=200_000, rounds=5)


def run(quick: bool) -> list[Figure]:
    """Every curve; `quick` with less of everything, about a minute instead of ten."""
    size = QUICK if quick else FULL
    return [*fences(size), *corners(size), *sizes(size), *builds(size), *edits(size)]


def fences(size: Sizes) -> list[Figure]:
    """ns a point, at equal overlap, as the city grows."""
    return _costs("fences", {f"{n:,}": (even_city(n), side_m(n)) for n in size.fences}, size)


def corners(size: Sizes) -> list[Figure]:
    """ns a point among 1,000 fences of the same sizes, with more and more corners.

    `rough` borders wander by a third of the way between corners, as shores do; `spiky` ones jump between 0.6 and 1 of
    the radius at every corner, as nothing real does.
    """
    made = []
    for spiky in (False, True):
        worlds = {f"{n:,}": (cornered_city(1_000, n, spiky=spiky), side_m(1_000)) for n in size.corners}
        made += _costs("spiky" if spiky else "rough", worlds, size)
    return made


def sizes(size: Sizes) -> list[Figure]:
    """ns a point among 10,000 fences of one kind, and of all kinds: stores of 30 m, districts, counties, countries."""
    n = size.mixed
    worlds = {
        "city fences": (even_city(n), side_m(n)),
        "30 m to 500 km, rough": (mixed(n, spiky=False), side_m(n)),
        "30 m to 500 km, spiky": (mixed(n, spiky=True), side_m(n)),
    }
    return _costs("sizes", worlds, size)


def builds(size: Sizes) -> list[Figure]:
    """Seconds to build, MB that the index holds, MB at most in the process, shapes included; each in one of its own."""
    made = []
    for n in size.builds:
        command = [sys.executable, "-m", "benchmarks.scaling", str(n)]
        said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        made += [Figure("build", f"{n:,}", said[key], unit) for key, unit in (("s", "s"), ("held", "MB held"))]
        made.append(Figure("build", f"{n:,}", said["peak"], "MB peak"))
    return made


def edits(size: Sizes) -> list[Figure]:
    """ms to change, add and remove one fence among many, while another thread matches; and what that thread loses."""
    n = size.edited
    shapes, rng = even_city(n), np.random.default_rng(7)
    index = FenceIndex.build(shapes)
    lat, lng = points(side_m(n), 1_000)
    fresh = even_city(120)
    took: dict[str, list[float]] = {"change": [], "add": [], "remove": []}
    beside = _Beside(lambda: index.match(lat, lng))
    alone_ms = beside.alone()
    beside.start()
    newer = index
    for k in range(size.edits):
        for what, times in took.items():
            kept = np.arange(newer.size)
            at = int(rng.integers(0, newer.size))
            if what == "change":
                kept[at] = -1
            kept = np.delete(kept, at) if what == "remove" else np.insert(kept, at, -1) if what == "add" else kept
            began = time.thread_time()
            newer = newer.edited(kept, [] if what == "remove" else [fresh[k]])
            times.append((time.thread_time() - began) * 1000)
    longest_ms = beside.stop()
    made = [Figure("edit", f"{what} one of {n:,} fences", float(np.median(t)), "ms") for what, t in took.items()]
    made += [Figure("edit", f"{what} one of {n:,} fences", max(t[1:]), "ms at most") for what, t in took.items()]
    made.append(Figure("edit", "1,000 points matched, alone", alone_ms, "ms"))
    made.append(Figure("edit", "1,000 points matched, during edits", longest_ms, "ms, 99 of 100 below"))
    before, after = index.match(lat, lng), FenceIndex.build(shapes).match(lat, lng)
    if not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True)):
        raise SystemExit("an edit changed the version that it came from")
    return made


class _Beside:
    """A thread that does one thing over and over, and times it."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._times_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def alone(self) -> float:
        """The median of a hundred times."""
        for _ in range(100):
            self._once()
        took = float(np.median(self._times_ms))
        self._times_ms.clear()
        return took

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> float:
        """Of each hundred the longest but one, in ms."""
        self._stop.set()
        self._thread.join()
        return float(np.percentile(self._times_ms, 99))

    def _run(self) -> None:
        while not self._stop.is_set():
            self._once()

    def _once(self) -> None:
        began = time.perf_counter()
        self._work()
        self._times_ms.append((time.perf_counter() - began) * 1000)


def _costs(curve: str, worlds: dict[str, tuple[list[Shape], float]], size: Sizes) -> list[Figure]:
    """ns a point in each world, and the ratio of the dearest to the cheapest; all matched in turn."""
    count = size.points
    asked = {at: (FenceIndex.build(shapes), *points(side, count)) for at, (shapes, side) in worlds.items()}
    best, found = dict.fromkeys(asked, math.inf), {}
    for _ in range(size.rounds):
        for at, (index, lat, lng) in asked.items():
            began = time.thread_time()
            offsets, _ = index.match(lat, lng)
            best[at] = min(best[at], (time.thread_time() - began) / count * 1e9)
            found[at] = float(offsets[-1]) / count
    made = [Figure(curve, at, ns, "ns a point") for at, ns in best.items()]
    made += [Figure(curve, at, many, "fences a point") for at, many in found.items()]
    made += [Figure(curve, at, asked[at][0].memory_bytes / 1e6, "MB held") for at in asked]
    return [*made, Figure(curve, "dearest to cheapest", max(best.values()) / min(best.values()), "ratio")]


def side_m(count: int) -> float:
    """The side of the even city's square, in metres."""
    return math.sqrt(FENCE_M2 * count)


def points(side_m: float, count: int) -> tuple[Any, Any]:
    """(lat, lng) evenly over the square, but for its rim, in random order."""
    y, x = (np.random.default_rng(3).random((2, count)) - 0.5) * (side_m * 0.95)
    return LAT + y / LAT_M, LNG + x / LNG_M


def even_city(count: int, seed: int = 1) -> list[Shape]:
    """Half 64-gons of 100-500 m, half stars of 8-60 corners and 150-800 m, evenly over a square that grows so too."""
    rng = np.random.default_rng(seed)
    places = (rng.random((count, 2)) - 0.5) * side_m(count)
    made: list[Shape] = []
    for n, place in enumerate(places):
        if n % 2:
            made.append(_ring(place, rng.uniform(100, 500) * np.ones(64)))
        else:
            made.append(_ring(place, rng.uniform(150, 800) * rng.uniform(0.6, 1.0, int(rng.integers(8, 61)))))
    return made


def cornered_city(count: int, corners: int, *, spiky: bool) -> list[Shape]:
    """Fences of 150-800 m with so many corners each; the same places and sizes for any number of corners."""
    rng = np.random.default_rng(2)
    made: list[Shape] = []
    for place in (rng.random((count, 2)) - 0.5) * side_m(count):
        radius_m, phase = rng.uniform(150, 800), rng.uniform(0, 2 * np.pi, 4)
        own = np.random.default_rng(int(radius_m * 1e6))
        rough = _rough(own, phase, corners)
        made.append(_ring(place, radius_m * (own.uniform(0.6, 1.0, corners) if spiky else rough)))
    return made


def mixed(count: int, *, spiky: bool) -> list[Shape]:
    """Stores of 30 m, districts of 1 km, counties of 8 km, two countries; a point is in about as many as elsewhere.

    The borders of all but the stores are as in `cornered_city`: rough, or spikes of a third of the radius.
    """
    rng, ground = np.random.default_rng(4), FENCE_M2 * count

    def reach(corners: int, least: float) -> Any:
        return rng.uniform(least, 1.0, corners) if spiky else _rough(rng, rng.uniform(0, 2 * np.pi, 4), corners)

    made: list[Shape] = [_ring(np.zeros(2), 500_000.0 * reach(2_000, 0.7)) for _ in range(2)]
    for size_m, depth in ((8_000.0, 1.3), (1_000.0, 1.3)):
        for _ in range(max(2, int(depth * ground / (2.0 * size_m**2)))):
            place = (rng.random(2) - 0.5) * math.sqrt(ground)
            made.append(_ring(place, size_m * reach(200, 0.6)))
    while len(made) < count:
        y, x = (rng.random(2) - 0.5) * math.sqrt(ground)
        made.append(Circle(LAT + y / LAT_M, LNG + x / LNG_M, 30.0))
    return made


def _rough(rng: np.random.Generator, phase: Any, corners: int) -> Any:
    """How far a border is from the middle, towards each corner, that wanders as shores do."""
    turn = 2 * np.pi * np.arange(corners) / corners
    wave = sum(0.2 / k * np.sin(k * turn + phase[k - 1]) for k in range(1, 5))
    return np.maximum(0.8 + 0.5 * wave + rng.uniform(-1, 1, corners) * 0.3 * 2 * np.pi / corners, 0.1)


def _ring(place: Any, reach_m: Any) -> Area:
    turn = 2 * np.pi * np.arange(len(reach_m)) / len(reach_m)
    x = LNG + (place[1] + reach_m * np.cos(turn)) / LNG_M
    y = LAT + (place[0] + reach_m * np.sin(turn)) / LAT_M
    ring = np.column_stack([x, y])
    return Area(((np.vstack([ring, ring[:1]]),),))


def _build(count: int) -> dict[str, float]:
    """Build in this very process."""
    shapes = even_city(count)
    FenceIndex.build(shapes[:10])
    began = time.perf_counter()
    index = FenceIndex.build(shapes)
    took = time.perf_counter() - began
    # not `ru_maxrss`: that begins with what the parent process had
    (peak_kb,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return {"s": took, "held": index.memory_bytes / 1e6, "peak": int(peak_kb) * 1024 / 1e6}


def main(words: Sequence[str]) -> None:
    """`python -m benchmarks.scaling [--quick | --record]` prints every figure; with a number, one build of so many."""
    if words and words[0].isdigit():
        print(json.dumps(_build(int(words[0]))))
        return
    if {"--quick", "--record"} <= set(words):
        raise SystemExit("the quick form is not for the record: say `--record` alone")
    about, found = record.about("full", "no core"), run("--quick" in words)
    for figure in found:
        print(f"{figure.curve:16} {figure.at:36} {figure.value:10.2f} {figure.unit}")
    if "--record" in words:
        about |= {"command": "python -m benchmarks.scaling --record"}
        rows = [[f.curve, f.at, float(f"{f.value:.4g}"), f.unit] for f in found]
        record.write(record.RESULTS, "scaling", about | {"lines": rows})


if __name__ == "__main__":
    main(sys.argv[1:])
