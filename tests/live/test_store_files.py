"""A store that cannot be used: one clear line, exit code 1, and the file is left as it was."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.live.process import NEARCAST, START_S, Process, command, live, process_of
from tests.live.reckoning import IN, write_site

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def closed_store(folder: Path) -> Path:
    """A store as an empty run leaves it, made without one: any file of SQLite's with our tables would do."""
    from connectors.store_sqlite import SqliteStore

    path = folder / "nearcast.db"
    SqliteStore.open(path).close()
    return path


def corrupt(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xa5" * 3996
    path.write_bytes(data)


def corrupt_within(path: Path) -> None:
    """As a start meets it by its check alone: a page of a table that it does not read."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE more (data BLOB)")
        connection.executemany("INSERT INTO more VALUES (?)", [(b"x" * 900,)] * 400)
    connection.close()
    data = bytearray(path.read_bytes())
    data[-80_000:-20_000] = b"\xa5" * 60_000
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5_000])


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def of_another_program(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()


def no_database(path: Path) -> None:
    path.write_bytes(b"these are my notes, not a database\n" * 200)


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_text("x")


TROUBLES: list[tuple[Callable[[Path], None], str]] = [
    (corrupt, "damaged"),
    (corrupt_within, "damaged"),
    (cut_off, "damaged"),
    (newer, "newer nearcast"),
    (of_another_program, "another program"),
    (no_database, "not a store"),
    (a_folder, "cannot be opened"),
]


def contents(path: Path) -> dict[str, bytes]:
    """The file, or all files of the folder."""
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    return {str(f): f.read_bytes() for f in files}


@pytest.mark.parametrize(("spoil", "word"), TROUBLES, ids=[t[0].__name__ for t in TROUBLES])
@live()
async def test_a_store_that_is_none_of_ours_is_refused_in_one_line_and_left_alone(
    tmp_path: Path, spoil: Callable[[Path], None], word: str
) -> None:
    site = write_site(tmp_path / "site")
    store = closed_store(site / "var")
    spoil(store)
    before = contents(store)
    done = await command("run", site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert word in line and str(store) in line
    assert contents(store) == before
    assert not store.with_name(store.name + "-journal").exists()


@pytest.mark.parametrize(("of_file", "of_folder"), [(0o444, 0o555), (0o440, 0o755)], ids=["folder", "file"])
@pytest.mark.skipif(os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root may write everything")
@live()
async def test_a_store_that_may_not_be_written_is_refused_in_one_line(
    tmp_path: Path, of_file: int, of_folder: int
) -> None:
    """With a folder that may be written it started, said that it was ready, and refused the first ping."""
    site = write_site(tmp_path / "site")
    store = closed_store(site / "var")
    store.chmod(of_file)
    store.parent.chmod(of_folder)
    words = [NEARCAST, "run", str(site), "--listen", "127.0.0.1:0"]
    if os.geteuid() == 0:
        words = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *words]
    before = contents(store)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=START_S)
    assert done.returncode == 1, done.stderr
    [line] = done.stderr.strip().splitlines()
    assert "may not be" in line and str(store) in line
    assert contents(store) == before


@live()
async def test_a_second_process_on_the_same_store_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as first:
        done = await command("run", first.site, "--listen", "127.0.0.1:0")
        assert done.returncode == 1
        [line] = done.stderr.strip().splitlines()
        assert "is in use by process" in line
        await first.post({"device": "d-1", "time": first.now_ms(), **IN})
        assert await first.end() == 0
        second = Process(first.site)
        async with second.client():
            await second.start()
            assert [p["device"] for p in await second.get("/v1/places/shinjuku/present")] == ["d-1"]
            assert await second.end() == 0


@live()
async def test_an_address_that_is_taken_is_told_in_one_line(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "one")) as first:
        done = await command("run", write_site(tmp_path / "two"), "--listen", f"127.0.0.1:{first.port}")
        assert done.returncode == 1
        [line] = done.stderr.strip().splitlines()
        assert f"cannot listen on `127.0.0.1:{first.port}`" in line


@live()
async def test_a_store_that_is_damaged_while_it_runs_is_told_of_loudly_and_takes_nothing_more(tmp_path: Path) -> None:
    """It went on taking pings, and every look into the store failed by itself."""
    async with process_of(write_site(tmp_path / "site")) as process:
        users = [f"u-{n}" for n in range(200)]
        await process.consent(users)
        await process.post(*({"device": f"d-{u}", "user": u, "time": process.now_ms(), **IN} for u in users))
        assert await process.end() == 0
        await process.start()
        with process.store.open("r+b") as file:
            file.seek(12_288)
            file.write(b"\xa5" * (process.store.stat().st_size - 16_384))
        await process.ask("GET", "/v1/users/u-100/export")
        assert not await process.is_ready()
        status, told = await process.ask("POST", "/v1/pings", json={"device": "d", "time": process.now_ms(), **IN})
        assert (status, told["error"]) == (503, "unavailable")
        [line] = process.lines("the store is damaged: nothing more is taken until it is restored")
        assert line["level"] == "error" and "it is damaged, restore a copy" in line["error"]
        assert await process.end() == 0
        done = await command("run", process.site, "--listen", "127.0.0.1:0")
        assert done.returncode == 1 and "is damaged" in done.stderr


@live()
async def test_a_site_whose_file_channel_is_the_store_does_not_start(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", settings="channels: {push: {kind: file, path: var/nearcast.db}}\n")
    done = await command("run", site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert "`channels.push.path` is the store's" in line
