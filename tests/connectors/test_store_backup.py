"""A backup is a whole store, taken while the store is written; and never in the place of another file."""

from __future__ import annotations

import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from connectors.store_sqlite import SqliteStore
from engine.ports import DecisionQuery, StoreError
from tests.connectors.making import commit, decision, delivery

if TYPE_CHECKING:
    from pathlib import Path


def test_a_copy_taken_while_commits_go_on_is_a_whole_store(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with SqliteStore.open(tmp_path / "a.db") as store:
        for n in range(1, 501):
            store.commit(commit(n, decisions=[decision(f"d-{n}")]))
        with SqliteStore.open(tmp_path / "a.db", readonly=True) as reader:
            copying = threading.Thread(target=reader.backup, args=(copy,))
            copying.start()
            n = 500
            while copying.is_alive():
                n += 1
                store.commit(commit(n, decisions=[decision(f"d-{n}")], deliveries=[delivery(f"k-{n}")]))
            copying.join()
    assert sorted(file.name for file in tmp_path.iterdir() if file.name.startswith("copy")) == ["copy.db"]
    with SqliteStore.open(copy) as again:
        last = again.last_seq()
        assert 500 <= last <= n
        assert [f.seq for f in again.frames()] == list(range(1, last + 1))
        assert len(again.decisions(DecisionQuery(limit=10**6))) == last
        assert len(again.pending()) == last - 500
        again.commit(commit(last + 1))


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("dear")
    with SqliteStore.open(tmp_path / "a.db") as store:
        store.commit(commit(1))
        with pytest.raises(StoreError, match="is there already, choose another name"):
            store.backup(copy)
    assert copy.read_text() == "dear"


def test_a_copy_that_fails_leaves_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    with SqliteStore.open(tmp_path / "a.db") as store:
        for n in range(1, 100):
            store.commit(commit(n, decisions=[decision(f"d-{n}", values={"much": "x" * 20_000})]))
        with pytest.raises(StoreError, match="its folder is not there"):
            store.backup(tmp_path / "nowhere" / "copy.db")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", small], check=False, capture_output=True
        )
        if done.returncode:
            pytest.skip("mounting a small disk is not permitted here")
        try:
            with pytest.raises(StoreError, match="the disk is full"):
                store.backup(small / "copy.db")
            assert list(small.iterdir()) == []
        finally:
            subprocess.run(["umount", "-l", small], check=True)
