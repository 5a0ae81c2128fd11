"""Checkpoints: kept whole or not at all, and never in the way of a commit."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from connectors.store_checkpoint import PART_BYTES
from connectors.store_sqlite import SqliteStore
from engine.ports import Checkpoint, StoreError
from tests.connectors.making import T0, commit

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(path) as opened:
        for n in range(1, 6):
            opened.commit(commit(n))
        yield opened


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(path) as other:
        rows = other.execute(statement).fetchall()
    other.close()
    return rows


@pytest.mark.parametrize("size", [0, 1, PART_BYTES, PART_BYTES + 1, 5 * PART_BYTES - 1])
def test_a_state_of_any_size_comes_back(store: SqliteStore, size: int) -> None:
    assert store.checkpoint() is None
    given = Checkpoint(3, T0, bytes(range(256)) * (size // 256) + b"x" * (size % 256))
    store.save_checkpoint(given)
    assert store.checkpoint() == given


def test_the_newest_frame_counts_not_the_last_written(store: SqliteStore) -> None:
    newer, older = Checkpoint(4, T0 + 4, b"newer"), Checkpoint(2, T0 + 2, b"older")
    store.save_checkpoint(newer)
    store.save_checkpoint(older)
    assert store.checkpoint() == newer
    assert store.origin() is None


def test_a_second_one_of_a_frame_takes_the_place_of_the_first(store: SqliteStore, path: Path) -> None:
    store.save_checkpoint(Checkpoint(4, T0, b"a" * (3 * PART_BYTES)))
    store.save_checkpoint(Checkpoint(4, T0, b"b"))
    assert store.checkpoint() == Checkpoint(4, T0, b"b")
    assert query(path, "SELECT count(*) FROM checkpoint_parts") == [(1,)]


def test_a_damaged_one_is_passed_over(store: SqliteStore, path: Path) -> None:
    for seq in (2, 4):
        store.save_checkpoint(Checkpoint(seq, T0 + seq, b"state %d" % seq))
    query(path, "UPDATE checkpoint_parts SET data = x'00' WHERE checkpoint = (SELECT max(id) FROM checkpoints)")
    assert store.checkpoint() == Checkpoint(2, T0 + 2, b"state 2", damaged=1)
    query(path, "DELETE FROM checkpoint_parts")
    with pytest.raises(StoreError, match="its checkpoints are damaged, restore a copy"):
        store.checkpoint()


def test_half_of_one_is_gone_after_a_new_start(store: SqliteStore, path: Path) -> None:
    store.save_checkpoint(Checkpoint(2, T0, b"whole"))
    query(path, "INSERT INTO checkpoint_parts VALUES (77, 0, x'01'), (77, 1, x'02')")
    store.close()
    with SqliteStore.open(path) as again:
        assert query(path, "SELECT DISTINCT checkpoint FROM checkpoint_parts") == [(1,)]
        again.save_checkpoint(Checkpoint(4, T0, b"next"))
        assert again.checkpoint() == Checkpoint(4, T0, b"next")


def test_commits_go_on_while_a_large_state_is_kept(store: SqliteStore) -> None:
    """16 MB in 64 parts: every part lets those who commit go first."""
    state = b"s" * (16 * 1024 * 1024)
    saving = threading.Thread(target=store.save_checkpoint, args=(Checkpoint(5, T0, state),))
    saving.start()
    count = 0
    while saving.is_alive():
        count += 1
        store.commit(commit(5 + count))
    saving.join()
    assert count > 10
    found = store.checkpoint()
    assert found is not None and found.state == state
