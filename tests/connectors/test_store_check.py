"""A damaged store is noticed: at the start, or by whoever meets it later."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors import store_sqlite
from connectors.store_sqlite import SqliteStore
from engine.ports import DecisionQuery, StoreDamagedError
from tests.connectors.making import commit, decision

if TYPE_CHECKING:
    from pathlib import Path


def filled(path: Path) -> None:
    with SqliteStore.open(path) as store:
        for n in range(1, 60):
            store.commit(commit(n, decisions=[decision(f"d-{n}-{m}", f"u-{n}") for m in range(20)]))


def overwrite_middle(path: Path) -> None:
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle - 30_000 : middle + 30_000] = b"\xa5" * 60_000
    path.write_bytes(data)


def damaged_unnoticed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store that is damaged, and too large for the check of a start."""
    path = folder / "a.db"
    filled(path)
    overwrite_middle(path)
    monkeypatch.setattr(store_sqlite.Check, "run", lambda *_: False)
    return path


def test_a_store_that_is_damaged_in_its_middle_is_not_opened(tmp_path: Path) -> None:
    """What a start reads was whole, so it said that it was ready, and took pings."""
    path = tmp_path / "a.db"
    filled(path)
    SqliteStore.open(path).close()
    overwrite_middle(path)
    with pytest.raises(StoreDamagedError, match="it is damaged, restore a copy made with `nearcast backup`"):
        SqliteStore.open(path)


def test_what_is_too_large_to_be_checked_at_the_start_is_checked_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged_unnoticed(tmp_path, monkeypatch)
    store = SqliteStore.open(path)
    assert not store.check()
    monkeypatch.undo()
    told: list[StoreDamagedError] = []
    store.when_damaged(told.append)
    assert told == []
    for _ in range(2):
        with pytest.raises(StoreDamagedError):
            store.check()
    assert [str(error).partition(",")[0] for error in told] == [f"store `{path}`: it is damaged"]
    store.close()


def test_damage_that_a_question_meets_is_told_once_also_to_who_asks_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = damaged_unnoticed(tmp_path, monkeypatch)
    with SqliteStore.open(path) as store:
        for n in range(1, 60):
            try:
                store.decisions(DecisionQuery(user=f"u-{n}"))
            except StoreDamagedError:
                break
        told: list[StoreDamagedError] = []
        store.when_damaged(told.append)
        assert len(told) == 1


def test_a_check_that_takes_too_long_or_whose_store_is_closed_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    filled(path)
    with SqliteStore.open(path) as store:
        assert store.check() is True
    with SqliteStore.open(path, readonly=True) as looked_at:
        looked_at.close()
        assert looked_at.check() is False
