"""PostgreSQL with PostGIS: a GiST index over the fences, joined with the points by `ST_Intersects`.

Owns a private server in a folder of its own, started for a benchmark and stopped after it; nothing is asked of a server
that is there already. As root it runs as another user, since PostgreSQL refuses root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from benchmarks.bench import Side, pairs
from benchmarks.peers.program import AbsentError
from benchmarks.rounds import processor_s

if TYPE_CHECKING:
    from contextlib import ExitStack

    from benchmarks.city import City

NAME = "PostGIS"
_SETTINGS = {
    "listen_addresses": "''", "fsync": "off", "shared_buffers": "512MB", "work_mem": "256MB", "jit": "off",
    "max_parallel_workers_per_gather": "0", "autovacuum": "off",
}  # fmt: skip
_SCHEMA = """
create extension postgis;
create table fences (id int primary key, geom geometry(Polygon, 4326));
create table points (id int primary key, geom geometry(Point, 4326));
\\copy fences from '{folder}/fences.tsv'
\\copy points from '{folder}/points.tsv'
create index on fences using gist (geom);
vacuum analyze;
"""
_JOIN = "from points p join fences f on st_intersects(f.geom, p.geom)"


def side(world: City, lat: Any, lng: Any, keep: ExitStack) -> Side:
    """A server with the data in it, indexed and analyzed. Raises `AbsentError`."""
    programs = _programs()
    folder = Path(keep.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True)))
    user = _user(folder)
    data = folder / "data"
    _run([str(programs / "initdb"), "--auth=trust", "--no-sync", "--username=bench", "-D", str(data)], user)
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    control = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log")]
    _run([*control, "-o", f"{options} -k {folder}", "start"], user)
    keep.callback(_run, [*control, "-m", "immediate", "stop"], user)
    _write(folder / "fences.tsv", shapely.set_srid(np.array(world.polygons, dtype=object), 4326))
    _write(folder / "points.tsv", shapely.set_srid(shapely.points(lng, lat), 4326))
    psql = ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(folder), "-U", "bench", "postgres"]
    _run(psql, None, _SCHEMA.format(folder=folder))
    version = _run(psql, None, "select postgis_lib_version(), current_setting('server_version')").replace("|", " on ")
    session = subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    keep.callback(session.communicate)

    def ask(query: str) -> str:
        assert session.stdin is not None and session.stdout is not None
        session.stdin.write(f"{query};\n")
        said = session.stdout.readline()
        if not said:
            raise RuntimeError("psql ended")
        return said

    server = int(ask("select pg_backend_pid()"))

    def work() -> float | None:
        before = processor_s(server)
        ask(f"select count(*) {_JOIN}")
        after = processor_s(server)
        return None if before is None or after is None else after - before

    def answer() -> Any:
        _run(psql, None, f"\\copy (select p.id, f.id {_JOIN}) to '{folder}/pairs'")
        found = np.loadtxt(folder / "pairs", np.int64, ndmin=2)
        return pairs(found[:, 0], found[:, 1])

    return Side(NAME, len(lat), work, answer, f"PostGIS {version.strip()}: GiST, ST_Intersects, counted in the server")


def _programs() -> Path:
    """The folder of the newest server's programs."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name), reverse=True)
    for place in places:
        config = place / "pg_config"
        if (place / "initdb").exists() and shutil.which("psql"):
            shared = Path("/usr/share/postgresql") / place.parent.name
            if config.exists():
                shared = Path(_run([str(config), "--sharedir"], None).strip())
            if (shared / "extension/postgis.control").exists():
                return place
    raise AbsentError(f"{NAME}: there is no PostgreSQL with PostGIS here (Debian: `postgresql-15-postgis-3`)")


def _user(folder: Path) -> str | None:
    """Who runs the server: None is who runs this."""
    if os.geteuid() != 0:
        return None
    name = next((n for n in ("postgres", "nobody") if any(p.pw_name == n for p in pwd.getpwall())), None)
    if name is None:
        raise AbsentError(f"{NAME}: it cannot be run as root, and there is no user `postgres` or `nobody`")
    folder.chmod(0o777)
    return name


def _run(command: list[str], user: str | None, text: str | None = None) -> str:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, user=user, cwd="/")
    if done.returncode != 0:
        raise RuntimeError(f"`{command[0]}` failed: {done.stderr.strip()}")
    return done.stdout


def _write(path: Path, shapes: Any) -> None:
    rows = shapely.to_wkb(shapes, hex=True, include_srid=True)
    path.write_text("".join(f"{n}\t{row}\n" for n, row in enumerate(rows)))
