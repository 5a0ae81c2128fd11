"""`python -m benchmarks.state [DEVICES]`: what the state of so many devices takes, each of them in five fences.

Owns the crowd and what is measured: the memory that the process has more of, the snapshot, and the way back. It has no
peer; the bounds are those of the contract: 500 MB for a million devices, 5 s each for the snapshot and the restore.
"""

from __future__ import annotations

import gc
import json
import math
import resource
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.site import site_of
from engine.rows import Rows, columns
from engine.snapshot import restore, snapshot
from engine.step import Engine

if TYPE_CHECKING:
    from engine.site import Site
    from engine.wire import Located

T0 = 1_795_593_600_000
SPOTS, FENCES, BATCH = 400, 5, 20_000


@dataclass(frozen=True, slots=True)
class State:
    """What was measured, in processor time. `fences` is how many each device is in."""

    devices: int
    fences: float
    memory_mb: float
    packed_mb: float
    snapshot_s: float
    restore_s: float


def measure(devices: int) -> State:
    """Let so many devices enter five fences each, and keep and restore that."""
    site = _site()
    engine = Engine(site, T0)
    engine.step([_batch(0, 0)], T0)
    gc.collect()
    before_mb = _memory_mb()
    for first in range(0, devices, BATCH):
        engine.step([_batch(first, min(first + BATCH, devices))], T0)
    gc.collect()
    memory_mb = _memory_mb() - before_mb
    fences = float(engine.sense.devices.columns["rows"][:devices].mean())
    began = time.process_time()
    packed = snapshot(engine)
    taken = time.process_time()
    back = restore(packed, site)
    restored = time.process_time()
    if len(back.sense.devices) != devices:
        raise SystemExit(f"{len(back.sense.devices)} of {devices} devices came back")
    return State(devices, fences, memory_mb, len(packed) / 1e6, taken - began, restored - taken)


def _site() -> Site:
    """Five circles round each of some hundred spots, a kilometre apart."""
    features = [
        {
            "type": "Feature", "id": f"f{spot}-{n}",
            "geometry": {"type": "Point", "coordinates": _spot(spot)[::-1]},
            "properties": {"radius_m": 100 + 20 * n, "timezone": "Asia/Tokyo"},
        }
        for spot in range(SPOTS) for n in range(FENCES)
    ]  # fmt: skip
    return site_of(json.dumps({"type": "FeatureCollection", "features": features}).encode())


def _spot(spot: int) -> tuple[float, float]:
    side = math.isqrt(SPOTS)
    return 35.0 + 0.01 * (spot // side), 139.0 + 0.01 * (spot % side)


def _batch(first: int, end: int) -> Located:
    count = end - first
    spots = [_spot(n % SPOTS) for n in range(first, end)]
    rows = Rows(
        [f"d-{n:08d}" for n in range(first, end)], [T0] * count, [s[0] for s in spots], [s[1] for s in spots],
        [None] * count, [None] * count, [10.0] * count, [None] * count, [None] * count, [None] * count, [None] * count,
    )  # fmt: skip
    return columns([rows])


def _memory_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measure and print."""
    state = measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
    print(
        f"{state.devices:,} devices, each in {state.fences:.1f} fences: {state.memory_mb:.0f} MB; snapshot "
        f"{state.snapshot_s:.2f} s, {state.packed_mb:.0f} MB packed; restore {state.restore_s:.2f} s (processor)"
    )


if __name__ == "__main__":
    main()
