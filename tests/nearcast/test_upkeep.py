"""Upkeep of a store beside a running process: what it does again until it is done."""

from __future__ import annotations

import asyncio
import sqlite3
import zlib
from typing import TYPE_CHECKING, cast

import pytest

from connectors.store_sqlite import SqliteStore
from engine.ports import StoreDamagedError
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


def test_a_frame_that_cannot_be_read_is_damage_to_whoever_meets_it(tmp_path: Path) -> None:
    """Nobody was told, and no erasure was ever done again."""
    path = tmp_path / "a.db"
    for meets in ("export", "upkeep"):
        with SqliteStore.open(path) as store:
            if meets == "export":
                store.commit(commit(1, UserChanged("u-1", {"tier": "gold"})))
                store.commit(commit(2, Erased("u-1"), erased=["u-1"]))
                data = b"\x01 no frame"
                with sqlite3.connect(path) as other:
                    other.execute("UPDATE journal SET data = ?, crc = ? WHERE seq = 1", (data, zlib.crc32(data)))
            found: list[StoreDamagedError] = []
            store.when_damaged(found.append)
            with pytest.raises(StoreDamagedError):
                if meets == "export":
                    store.export("u-1")
                else:
                    (erasure,) = store.erasures()
                    store.rewrite_erased(erasure, (), lambda state: state)
            assert len(found) == 1


def test_an_erasure_that_a_reader_hindered_is_finished_soon_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "READ_AGAIN_S", 0.05)
    path = tmp_path / "a.db"
    with SqliteStore.open(path) as store:
        store.commit(commit(1, UserChanged("user-who-goes", {"tier": "gold"})))
        store.commit(commit(2, Erased("user-who-goes"), erased=["user-who-goes"]))
        assert not asyncio.run(in_log(path, b"user-who-goes", store))
