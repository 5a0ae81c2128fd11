"""What one step of a running process takes in: all requests that are on their way, in one commit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from connectors.clock import MachineClock
from connectors.metrics import Metrics
from connectors.store_sqlite import SqliteStore
from engine.ping_reader import pings_of
from engine.step import Engine
from nearcast.live import Live
from tests.world import CENTRE, circle, files_of, rows, site_of

if TYPE_CHECKING:
    from pathlib import Path


async def commits_of(folder: Path, turns: list[int]) -> int:
    """How many commits requests make, each of which is in the queue so many turns of the loop after the first."""
    clock = MachineClock()
    store = SqliteStore.open(folder / "store.db")
    live = Live(Engine(site_of(files_of([circle("shop")])), clock.now_ms()), store, Metrics(), clock, 0)
    live.ready = True

    async def post(device: str, after: int) -> int:
        for _ in range(after):
            await asyncio.sleep(0)
        now_ms = clock.now_ms()
        ping = {"device": device, "time": now_ms, "lat": CENTRE[0], "lng": CENTRE[1]}
        return (await live.located(pings_of(rows([ping])), received_ms=now_ms, wait=False)).accepted

    loop = asyncio.create_task(live.run())
    try:
        accepted = await asyncio.gather(*(post(f"d-{n}", after) for n, after in enumerate(turns)))
        assert accepted == [1] * len(turns)
    finally:
        live.stop()
        await loop
        await live.close()
        store.close()
    return live.seq


def test_requests_that_come_a_turn_of_the_loop_after_each_other_are_one_commit(tmp_path: Path) -> None:
    assert asyncio.run(commits_of(tmp_path, [0, 1, 2, 3])) == 1


def test_nobody_waits_for_a_stream_of_requests_to_end(tmp_path: Path) -> None:
    assert asyncio.run(commits_of(tmp_path, list(range(40)))) > 3


def test_a_request_that_comes_much_later_is_a_commit_of_its_own(tmp_path: Path) -> None:
    assert asyncio.run(commits_of(tmp_path, [0, 20])) == 2
