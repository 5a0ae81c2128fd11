"""Upkeep of a store beside a running process: what it does again until it is done."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, cast

import pytest

from connectors.store_sqlite import SqliteStore
from engine.step import Engine
from engine.wire import Erased, UserChanged
from nearcast import upkeep
from nearcast.upkeep import Upkeep
from tests.connectors.making import T0, SetClock, commit
from tests.world import circle, files_of, site_of

if TYPE_CHECKING:
    from pathlib import Path

    from nearcast.live import Live


class Standing:
    """As much of a live loop as upkeep looks at."""

    is_damaged = False

    def __init__(self) -> None:
        self.engine = Engine(site_of(files_of([circle("shop")])), T0)


async def in_log(path: Path, name: bytes, store: SqliteStore) -> bool:
    """Whether a name stays in the store's files after an erasure that a reader hindered, once it has gone."""
    reader = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM journal").fetchall()
    running = asyncio.create_task(Upkeep(store, cast("Live", Standing()), SetClock()).run())
    try:
        async with asyncio.timeout(10):
            while await asyncio.to_thread(store.erasures):
                await asyncio.sleep(0.01)
        reader.close()
        async with asyncio.timeout(10):
            while any(name in file.read_bytes() for file in path.parent.glob("a.db*")):
                await asyncio.sleep(0.01)
        return False
    except TimeoutError:
        return True
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_an_erasure_that_a_reader_hindered_is_finished_soon_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "READ_AGAIN_S", 0.05)
    path = tmp_path / "a.db"
    with SqliteStore.open(path) as store:
        store.commit(commit(1, UserChanged("user-who-goes", {"tier": "gold"})))
        store.commit(commit(2, Erased("user-who-goes"), erased=["user-who-goes"]))
        assert not asyncio.run(in_log(path, b"user-who-goes", store))
