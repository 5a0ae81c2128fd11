"""What a run leaves behind: its figures as JSON, with the machine, the versions and the command.

Owns the form of the files in `results/`, and the comparison of a new run with a recorded one.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.rounds import Line

RESULTS = Path(__file__).parent / "results"
LAST = RESULTS / "last"
"""What the newest run gave; only what is recorded goes beside it."""
PACKAGES = ("numpy", "numba", "shapely", "h3", "msgspec", "orjson", "aiohttp")
FALLS_BELOW = 0.7
"""A ratio below this share of the recorded one is a failure: more than the noise of a busy machine."""


def about(size: str, pinned: str) -> dict[str, Any]:
    """What stands beside every figure: how, when, on what, with which versions."""
    return {
        "command": " ".join(["python -m benchmarks", *sys.argv[1:]]),
        "size": size,
        "date": strftime("%Y-%m-%d", gmtime()),
        "machine": machine() | {"pinned to": pinned},
        "versions": versions(),
    }


def record(run: dict[str, Any]) -> dict[str, Any]:
    """A run as it is kept, still empty: `run` is what `about` says of it; peers that are absent stand by benchmark."""
    return run | {"absent": {}, "lines": [], "live": {}, "curves": {}}


def line(line: Line) -> dict[str, Any]:
    """A line of the table as it is kept."""
    return {
        "name": line.name,
        "what": line.what,
        "date": strftime("%Y-%m-%d", gmtime()),
        "data": line.data,
        "unit": line.unit,
        "peer": line.peer,
        "form": line.form,
        "recorded": line.recorded,
        "ours": _digits(line.ours),
        "theirs": _digits(line.theirs),
        "ratio": _digits(line.ratio),
        "spread": [_digits(x) for x in line.spread],
        "rounds": len(line.ours_s),
        "count": line.count,
        "peer_count": line.peer_count or line.count,
        "ours_s": [_digits(s) for s in line.ours_s],
        "theirs_s": [_digits(s) for s in line.theirs_s],
    }


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def machine() -> dict[str, Any]:
    """What it ran on."""
    info = Path("/proc/cpuinfo")
    models = [line.split(":")[1].strip() for line in _lines(info) if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines(Path("/proc/meminfo")) if line.startswith("MemTotal")]
    return {
        "processor": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(memory[0] / 2**20) if memory else None,
        "system": platform.system(),
        "load_before": round(os.getloadavg()[0], 1),
    }


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def versions() -> dict[str, str]:
    """Of what is compared, and what it stands on."""
    found = {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}
    for name, command in (("go", ["go", "version"]), ("rust", ["rustc", "--version"]), ("java", ["java", "--version"])):
        try:
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
            found[name] = said[2].removeprefix("go") if name == "go" else said[1]
        except (OSError, subprocess.CalledProcessError):
            continue
    return found


def write(folder: Path, name: str, made: dict[str, Any]) -> None:
    """Write it as `name`.json."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


def keep(name: str, made: dict[str, Any], order: Sequence[str], *, whole: bool) -> None:
    """Make it the record: of a `whole` run nothing earlier stays, else what was not run again does."""
    write(RESULTS, name, made if whole else merged(read(name), made, order))


def merged(before: dict[str, Any], made: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """A record with what only an earlier one has, in the order of the benchmarks' names. Raises `SystemExit`."""
    if any(before["machine"][key] != made["machine"][key] for key in ("processor", "cores")):
        raise SystemExit("the record is of another machine: run everything, without names")
    again = {row["name"] for row in made["lines"]}
    rows = [row for row in before["lines"] if row["name"] not in again and row["name"] in order] + made["lines"]
    both: dict[str, Any] = {part: before[part] | made[part] for part in ("absent", "live", "curves")}
    return made | both | {"lines": sorted(rows, key=lambda row: order.index(row["name"]))}


def read(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """A record that was kept."""
    path = folder / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path}: there is no such record, make one with `make bench-record`")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def fallen(recorded: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The lines whose ratio fell below `FALLS_BELOW` of the recorded one, each said in one line.

    What cannot be compared (a peer that is missing here, a peer's figure that was itself only recorded) is left out;
    if nothing can, that is a fall too.
    """
    before = {(row["name"], row["peer"]): row for row in recorded["lines"] if not row["recorded"]}
    both = [(row, before[key]) for row in now["lines"] if (key := (row["name"], row["peer"])) in before]
    if not both:
        return ["nothing could be compared with the record"]
    return [
        f"{row['what']} beside {row['peer']}: {row['ratio']:g}, recorded {was['ratio']:g}"
        for row, was in both
        if row["ratio"] < FALLS_BELOW * was["ratio"]
    ]
