"""`nearcast replay` of a recording, the whole command, beside the script that people write for it; and of a store.

All are processes of their own: start, reading the fences, reading the file and writing every transition are in the
figure. Ours finds the map that a replay before it kept, as it does where the site is run. Detection is `instant`, and
every transition is compared. A store is replayed beside its own recording, on which the script is the oracle.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from benchmarks.bench import Bench, Side, Size
from benchmarks.city import stars
from benchmarks.crowd import STEP_MS, Walk
from benchmarks.gateway import elsewhere, post
from benchmarks.server import Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack

STEPS = 80
POST = 1_000


def bench(size: Size, keep: ExitStack, *, from_store: bool = False) -> Bench:
    """A recording of so many steps of a crowd on foot; or what a process kept that was given it."""
    world = stars(size.fences)
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory()))
    site, recording, told = folder / "site", folder / "walk.jsonl", folder / "told.jsonl"
    (site / "fences").mkdir(parents=True)
    (site / "var").mkdir()
    (site / "fences/city.geojson").write_bytes(world.geojson())
    (site / "nearcast.yaml").write_text("detection: {preset: instant}\n")
    walk = Walk(world, size.devices)
    walk.now_ms = int(time.time() * 1000) - STEPS * STEP_MS
    with recording.open("wb") as file:
        for step in _steps(walk):
            file.writelines(line + b"\n" for line in step)
    if from_store:
        _keep(site, recording, size.devices)
    replay = [
        str(Path(sys.executable).with_name("nearcast")),
        "replay",
        str(site),
        "--json",
        "--transitions",
        str(told),
    ]
    of_file, of_store = [*replay, str(recording)], [*replay, "--from-store"]
    script = [sys.executable, "-m", "benchmarks.peers.by_hand", str(site), str(recording), str(told)]
    pings = STEPS * size.devices

    def by(name: str, command: list[str], form: str = "") -> Side:
        return Side(name, pings, lambda: _spent_s(command), lambda: _moves(command, told), form)

    said = f"{world.said}; {size.devices:,} devices, {STEPS} steps of 7 m; "
    if from_store:
        peer = by("nearcast, of their recording", of_file, "the same command, given the JSONL that was posted")
        return Bench(
            "replay-store", f"replay a store of {pings:,} pings", "pings", f"{said}posted by {POST:,}",
            by("nearcast", of_store), (peer,), oracle=lambda: _moves(script, told),
        )  # fmt: skip
    form = "orjson line by line, the grouped recipe 20,000 pings at a time, sets in a dict"
    return Bench(
        "replay-file", f"replay a file of {pings:,} pings", "pings",
        f"{said}{recording.stat().st_size / pings:.0f} bytes of JSON a ping",
        by("nearcast", of_file), (by("a script with shapely", script, form),),
    )  # fmt: skip


def _steps(walk: Walk) -> Iterator[list[bytes]]:
    """The lines of each step of everybody."""
    for _ in range(STEPS):
        walk.move()
        yield [
            orjson.dumps({"device": name, "time": walk.now_ms, "lat": lat, "lng": lng})
            for name, lat, lng in zip(walk.names, walk.lat.tolist(), walk.lng.tolist(), strict=True)
        ]


def _keep(site: Path, recording: Path, devices: int) -> None:
    """Post the recording to a process of the site, and end it: nobody has two pings under way at a time."""
    server = Server(site)
    try:
        with elsewhere(), recording.open("rb") as file:
            for _ in range(STEPS):
                lines = [next(file) for _ in range(devices)]
                bodies = [b"[" + b",".join(lines[n : n + POST]) + b"]" for n in range(0, devices, POST)]
                asyncio.run(post(server.port, "/v1/pings", bodies))
    finally:
        server.close()


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
