"""Which files are opened as stores, and what is said of those that are not."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from connectors.store_schema import APPLICATION_ID
from connectors.store_sqlite import SqliteStore
from engine.ports import StoreError
from tests.connectors.making import commit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 4 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def filled(path: Path, count: int = 3) -> None:
    with SqliteStore.open(path) as store:
        for n in range(1, count + 1):
            store.commit(commit(n))


def refusal(path: Path, *, readonly: bool = False) -> str:
    with pytest.raises(StoreError) as caught:
        SqliteStore.open(path, readonly=readonly).close()
    line = str(caught.value)
    assert "\n" not in line and line.startswith(f"store `{path}`")
    return line


def test_a_second_writer_is_refused_with_the_number_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with SqliteStore.open(path):
        assert (
            refusal(path)
            == f"store `{path}` is in use by process `{os.getpid()}`, stop it first or set another `store`"
        )
    SqliteStore.open(path).close()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        SqliteStore.open(path).commit(commit(1))
        os.write(tell, b"x")
        signal.pause()
    os.read(ready, 1)
    assert f"process `{child}`" in refusal(path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with SqliteStore.open(path) as store:
        assert store.last_seq() == 1


def test_a_path_through_a_link_is_the_same_store(tmp_path: Path) -> None:
    path, link = tmp_path / "a.db", tmp_path / "b.db"
    filled(path)
    link.symlink_to(path)
    with SqliteStore.open(path), pytest.raises(StoreError, match="in use"):
        SqliteStore.open(link)


def test_a_newer_store_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = path.read_bytes()
    for readonly in (False, True):
        assert refusal(path, readonly=readonly).endswith("its version is `99`, this one reads 1, upgrade nearcast")
    assert path.read_bytes() == before


def test_a_database_of_another_program_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    before = path.read_bytes()
    assert "is a database of another program" in refusal(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("data", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(data)
    assert "it is damaged or not a store" in refusal(path) or "it is damaged" in refusal(path)
    assert path.read_bytes() == data


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.touch()
    assert "is empty" in refusal(path, readonly=True)
    filled(path)
    with sqlite3.connect(path) as other:
        assert other.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    other.close()


def test_a_torn_file_is_refused_and_named(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path, 2000)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="damaged"), SqliteStore.open(path) as store:
        list(store.frames())


def test_a_store_that_is_not_there_is_not_made_by_readers(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    assert refusal(path, readonly=True).endswith("is not there, start `nearcast run` on the site first")
    with pytest.raises(StoreError, match="is not there"):
        SqliteStore.open(path, create=False)
    assert not path.exists()


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.mkdir()
    assert "cannot be opened" in refusal(path)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "store `" in refusal(tmp_path / "file" / "a.db")


def test_on_a_disk_that_may_only_be_read_a_store_is_read_and_not_written(small_disk: Path) -> None:
    path = small_disk / "a.db"
    filled(path)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "may only be read" in refusal(path)
    with SqliteStore.open(path, readonly=True) as store:
        assert store.last_seq() == 3


def test_a_full_disk_refuses_the_commit_and_takes_it_when_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(1_000_000))
    path = small_disk / "a.db"
    payload = os.urandom(50_000)
    with SqliteStore.open(path) as store:
        seq = 0
        with pytest.raises(StoreError, match="the disk is full, free some space"):
            while seq < 200:
                store.commit(commit(seq + 1, edited=(f"v{seq}", {"f": payload})))
                seq += 1
        for _ in range(3):
            with pytest.raises(StoreError, match="the disk is full"):
                store.commit(commit(seq + 1, edited=(f"v{seq}", {"f": payload})))
        assert store.last_seq() == seq > 5
        ballast.unlink()
        store.commit(commit(seq + 1))
        assert [f.seq for f in store.frames()] == list(range(1, seq + 2))
    with SqliteStore.open(path) as store:
        assert store.last_seq() == seq + 1
        assert len(store.sites()) == seq


def test_a_store_cannot_be_made_on_a_full_disk(small_disk: Path) -> None:
    fill = small_disk / "ballast"
    with pytest.raises(OSError, match="No space"), fill.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    path = small_disk / "a.db"
    assert "the disk is full" in refusal(path)
    fill.unlink()
    filled(path)


def test_a_new_store_is_read_by_nobody_outside_of_its_group(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path / "a.db") as store:
        store.commit(commit(1))
        for file in tmp_path.glob("a.db*"):
            assert not file.stat().st_mode & 0o027 or file.suffix == ".lock", file
