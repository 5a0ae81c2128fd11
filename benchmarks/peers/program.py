"""A peer in another language: built where its toolchain is, then asked round by round over a pipe.

Owns how such a program is built, fed and asked. Data are little-endian files: POINTS holds a count (int32) and x, y
(longitude, latitude, float64) of each; FENCES a count, and of each fence the count of its rings, and of each ring the
count of its points and these. The program says `ready` once its index is made. To each line that it reads it does one
round and says the seconds that the matching took; to `answer PATH` it then writes the (point, fence) pairs found, two
int32 each, and says `written`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.bench import Side, pairs
from benchmarks.rounds import processor_s

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.city import City

HERE = Path(__file__).parent
BUILD = HERE.parents[1] / "build" / "peers"


class AbsentError(Exception):
    """The peer cannot be run here; the message is the reason, one clear line."""


@dataclass(frozen=True, slots=True)
class Program:
    """How a peer is built and called."""

    name: str
    tool: str
    """Must be on the PATH."""
    build: Callable[[Path], list[str]]
    """The command that builds into a folder."""
    call: Callable[[Path], list[str]]
    form: str
    exact: str = ""
    """Which of its forms of the exact test: the quickest of those that it knows."""


@cache
def built(program: Program) -> list[str]:
    """Build a program, once in a run, and return the command that runs it. Raises `AbsentError`."""
    if shutil.which(program.tool) is None:
        raise AbsentError(f"{program.name}: `{program.tool}` is not on the PATH")
    into = BUILD / program.name.split(" ")[0]
    into.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"CARGO_TARGET_DIR": str(into)}
    done = subprocess.run(program.build(into), capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        said = (done.stderr + done.stdout).strip().splitlines() or [f"exit {done.returncode}"]
        raise AbsentError(f"{program.name}: it could not be built: {said[-1]}")
    return program.call(into)


RUST = Program(
    "rstar+geo (Rust)", "cargo",
    lambda _: ["cargo", "build", "--quiet", "--release", "--manifest-path", str(HERE / "rstar_geo/Cargo.toml")],
    lambda into: [str(into / "release/rstar_geo")],
    "rstar 0.14.0, bulk loaded, then geo 0.33.1's Polygon.intersects; its forms for many points a polygon "
    "(MonotonicPolygons, IntervalTreeMultiPolygon) answer the same, and slower on fences of these sizes",
    "plain",
)  # fmt: skip
GO = Program(
    "tidwall (Go)", "go",
    lambda into: ["go", "build", "-C", str(HERE / "tidwall"), "-o", str(into / "match"), "."],
    lambda into: [str(into / "match")],
    "tidwall/rtree 1.10.0 and tidwall/geojson 1.4.5 with its quadtrees: Tile38's own core, without the server",
)  # fmt: skip
JAVA = Program(
    "JTS (Java)", "mvn",
    lambda into: ["mvn", "--quiet", "--batch-mode", "--file", str(HERE / "jts/pom.xml"), f"-Dinto={into}", "compile"],
    lambda into: ["java", "-Xms1g", "-XX:+UseSerialGC", "-cp", f"{into}/classes:{into}/lib/*", "Match"],
    "JTS 1.20.0: STRtree, then each fence's PreparedGeometry; the IndexedPointInAreaLocator that it uses within, asked "
    "directly, is about as quick; warmed up for 2 s",
    "prepared",
)  # fmt: skip
PROGRAMS = (RUST, GO, JAVA)


class Asked:
    """A running peer."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._answer = folder / "answer"
        self._process = subprocess.Popen(
            [*command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self._expect("ready")

    def round(self) -> float:
        """Match all points once; the processor time that it took, or the seconds that it says where that is unknown."""
        before = processor_s(self._process.pid)
        said = float(self._say("round"))
        after = processor_s(self._process.pid)
        return said if before is None or after is None else after - before

    def answer(self) -> Any:
        """What it finds, as `bench.pairs`."""
        self._say(f"answer {self._answer}")
        self._expect("written")
        found = np.fromfile(self._answer, "<i4").reshape(-1, 2)
        return pairs(found[:, 0], found[:, 1])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def _say(self, line: str) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        return self._line()

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"`{self._process.args[0]}` ended with {self._process.wait(30)}")
        return line.strip()

    def _expect(self, wanted: str) -> None:
        said = self._line()
        if said != wanted:
            raise RuntimeError(f"`{self._process.args[0]}` said `{said}` for `{wanted}`")


def asked(program: Program, folder: Path, points: int) -> tuple[Asked, Side]:
    """Start a program on the files of a folder. Raises `AbsentError`."""
    peer = Asked([*built(program), str(folder / "fences"), str(folder / "points"), program.exact], folder)
    return peer, Side(program.name, points, peer.round, peer.answer, program.form)


def write_data(folder: Path, world: City, lat: Any, lng: Any) -> None:
    """Write FENCES and POINTS into a folder."""
    with (folder / "points").open("wb") as file:
        file.write(np.int32(len(lat)).tobytes())
        file.write(np.ascontiguousarray(np.column_stack([lng, lat]), "<f8").tobytes())
    with (folder / "fences").open("wb") as file:
        file.write(np.int32(len(world.polygons)).tobytes())
        for polygon in world.polygons:
            rings = [polygon.exterior, *polygon.interiors]
            file.write(np.int32(len(rings)).tobytes())
            for ring in rings:
                corners = np.ascontiguousarray(ring.coords, "<f8")
                file.write(np.int32(len(corners)).tobytes())
                file.write(corners.tobytes())
