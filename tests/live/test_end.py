"""A process that is told to end does so soon, with exit code 0, and loses nothing."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

import pytest

from tests.exact import worlds
from tests.live.disk import fill, small_disk
from tests.live.load import Crowd
from tests.live.process import at_rest, live, process_of, until
from tests.live.reckoning import IN, kept, owed, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("number", "hanging"), [(signal.SIGTERM, True), (signal.SIGINT, False)], ids=["TERM", "INT"])
@live()
async def test_told_to_end_under_load_it_ends_soon_and_the_next_start_goes_on(
    tmp_path: Path, number: signal.Signals, hanging: bool
) -> None:
    rng = random.Random(51)
    fences = [f for f in worlds.fences(1_600, rng) if not f.reach_m]
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", fences, settings="detection: {preset: instant}\n", sink=sink.url)
        async with process_of(site) as process:
            pings = worlds.walkers(300, 40, rng, process.now_ms() - 20 * 3_600_000)
            await process.consent(sorted({p["device"] for p in pings}))
            crowd = Crowd(process, 4_000)
            async with crowd.posting(pings):
                await until(lambda: len(crowd.acked) > len(pings) // 3 and sink.got, "the load is there")
                if hanging:  # from here on the other side answers nothing
                    sink.hold = asyncio.Event()
                    await until(lambda: sink.open > 3, "attempts hang")
                crowd.gone = True
                assert await process.end(number, within_s=12 if hanging else 8) == 0
                if sink.hold is not None:
                    sink.hold.set()
            assert {(p["device"], p["time"]) for p in crowd.acked} <= kept(process.store)
            ready = await process.start()
            assert ready["folded_frames"] <= 5, "no checkpoint was kept"
            due = owed(crowd.acked, fences)
            await until(lambda: due <= sink.keys, "every message due arrives")
            await at_rest(process)
            assert await process.end() == 0
            assert len({(a.key, a.body) for a in sink.got}) == len(sink.keys)


@live()
async def test_a_start_after_an_end_at_rest_folds_nothing_and_a_second_signal_does_no_harm(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        await process.post({"device": "d-1", "time": process.now_ms(), **IN})
        process.tell(signal.SIGTERM)
        process.tell(signal.SIGINT)
        assert await process.ended() == 0
        ready = await process.start()
        assert (ready["folded_frames"], ready["map"]) == (0, "kept")
        assert [p["device"] for p in await process.get("/v1/places/shinjuku/present")] == ["d-1"]


@live()
async def test_told_to_end_while_the_disk_is_full_it_ends_soon_and_the_next_start_goes_on(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    with small_disk(site / "var", 64) as disk:
        async with process_of(site) as process:
            await process.post({"device": "d-1", "time": process.now_ms(), **IN})
            fill(disk / "filler")
            ping = {"device": "d-2", "time": process.now_ms(), **IN}
            assert (await process.ask("POST", "/v1/pings", json=ping))[0] == 503

            async def counts_on() -> bool:
                return await process.value("nearcast_commit_failures_total") > 2

            await until(counts_on, "each try that found no room counts, so that the alert stays")
            assert await process.end(within_s=10) == 0
            assert process.lines("ended while the store could not commit")
            (disk / "filler").unlink()
            await process.start()
            assert [line["device"] for line in await process.get("/v1/places/shinjuku/present")] == ["d-1"]
            await process.post(ping)
