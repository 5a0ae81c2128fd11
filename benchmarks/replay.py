"""`nearcast replay` of a recording, the whole command, beside the script that people write for it.

Both are processes of their own: start, reading the fences, reading the file and writing every transition are in the
figure. Detection is `instant`, and every transition is compared.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from benchmarks.bench import Bench, Side, Size
from benchmarks.city import stars
from benchmarks.crowd import Walk

if TYPE_CHECKING:
    from contextlib import ExitStack

STEPS = 25


def bench(size: Size, keep: ExitStack) -> Bench:
    """A recording of so many steps of a crowd on foot."""
    world = stars(size.fences)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    site, recording, told = folder / "site", folder / "walk.jsonl", folder / "told.jsonl"
    (site / "fences").mkdir(parents=True)
    (site / "fences/city.geojson").write_bytes(world.geojson())
    (site / "nearcast.yaml").write_text("detection: {preset: instant}\n")
    walk = Walk(world, size.devices)
    with recording.open("wb") as file:
        for _ in range(STEPS):
            walk.move()
            file.writelines(
                orjson.dumps({"device": name, "time": walk.now_ms, "lat": lat, "lng": lng}) + b"\n"
                for name, lat, lng in zip(walk.names, walk.lat.tolist(), walk.lng.tolist(), strict=True)
            )
    nearcast = str(Path(sys.executable).with_name("nearcast"))
    ours = [nearcast, "replay", str(site), str(recording), "--json", "--transitions", str(told)]
    theirs = [sys.executable, "-m", "benchmarks.peers.by_hand", str(site), str(recording), str(told)]
    pings = STEPS * size.devices
    return Bench(
        "replay", f"replay a file of {pings:,} pings", "pings",
        f"{world.said}; {size.devices:,} devices, {STEPS} steps of 7 m; "
        f"{recording.stat().st_size / pings:.0f} bytes of JSON a ping",
        Side("nearcast", pings, lambda: _spent_s(ours), lambda: _moves(ours, told)),
        (
            Side(
                "a script with shapely", pings, lambda: _spent_s(theirs), lambda: _moves(theirs, told),
                "orjson line by line, the grouped recipe 20,000 pings at a time, sets in a dict",
            ),
        ),
    )  # fmt: skip


def _spent_s(command: list[str]) -> float:
    """Run a command; its processor time."""
    with open(os.devnull, "wb") as nothing:
        pid = os.posix_spawn(
            command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing.fileno(), 1)]
        )  # fmt: skip
        _, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"`{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_utime + usage.ru_stime


def _moves(command: list[str], told: Path) -> list[tuple[str, ...]]:
    """Every transition that a command writes, in one order."""
    _spent_s(command)
    lines = map(orjson.loads, told.read_bytes().splitlines())
    return sorted((line["device"], line["place"], line["kind"], str(line["time"])) for line in lines)
