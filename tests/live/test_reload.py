"""Edits of the site while the process runs: good ones lose nothing, bad ones change nothing."""

from __future__ import annotations

import asyncio
import random
import signal
from typing import TYPE_CHECKING

from tests.exact import worlds
from tests.live.disk import fill, small_disk
from tests.live.load import Crowd, two_waiting
from tests.live.process import Process, at_rest, command, live, process_of, until
from tests.live.reckoning import HELLO, IN, OUT, kept, owed, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

BAD = HELLO.replace("trigger: {event: entered", "trigger: {event: enterd")
SUCCESS = "nearcast_config_last_reload_successful"


async def reload_says(process: Process, good: bool) -> None:
    async def said() -> bool:
        return await process.value(SUCCESS) == good

    await until(said, f"the metric says {good}")


@live()
async def test_good_reloads_under_load_lose_no_ping_and_no_message(tmp_path: Path) -> None:
    rng = random.Random(31)
    fences = [f for f in worlds.fences(1_600, rng) if not f.reach_m]
    async with sink_of(lambda: 503 if rng.random() < 0.2 else 204) as sink:
        site = write_site(tmp_path / "site", fences, settings="detection: {preset: instant}\n", sink=sink.url)
        async with process_of(site) as process:
            pings = worlds.walkers(300, 50, rng, process.now_ms() - 20 * 3_600_000)
            await process.consent(sorted({p["device"] for p in pings}))
            crowd = Crowd(process, 2_000)
            async with crowd.posting(pings):
                for n in range(6):
                    (site / "rules/all.yaml").write_text(HELLO + f"priority: {n}\n")
                    if n % 2:
                        process.tell(signal.SIGHUP)
                    await until(lambda n=n: len(process.lines("site in force")) > n, f"version {n} is in force")
            due = owed(crowd.acked, fences)
            await until(lambda: due <= sink.keys, "every message due arrives")
            await at_rest(process)
            assert len(due) > 50 and sink.keys == due and len(sink.taken) == len(due)
            assert not crowd.refused
            assert await process.end() == 0
            assert {(p["device"], p["time"]) for p in pings} <= kept(process.store)


@live()
async def test_a_bad_file_keeps_the_last_good_version_and_is_named_with_its_line(tmp_path: Path) -> None:
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", sink=sink.url)
        async with process_of(site) as process:
            assert await process.value(SUCCESS) == 1
            await process.consent(["d-1", "d-2"])
            (site / "rules/all.yaml").write_text(BAD)
            await reload_says(process, False)
            named = [line["mistake"] for line in process.lines("mistake in the site")]
            assert any(m.startswith("rules/all.yaml:4:") and "`enterd`" in m and "`entered`" in m for m in named), named
            await process.post({"device": "d-1", "time": process.now_ms(), **IN})
            await until(lambda: len(sink.keys) == 1, "the last good version goes on sending")
            (site / "rules/all.yaml").write_text(HELLO.replace("state: live", "state: draft"))
            await reload_says(process, True)
            await process.post({"device": "d-2", "time": process.now_ms(), **IN})
            assert await process.get("/v1/users/d-2/decisions") == []


@live()
async def test_a_paused_rule_cancels_what_it_has_pending(tmp_path: Path) -> None:
    async with sink_of(lambda: 503) as sink:
        site = write_site(tmp_path / "site", sink=sink.url)
        async with process_of(site) as process:
            await two_waiting(process, sink)
            assert await process.value("nearcast_deliveries_pending") == 2
            (site / "rules/all.yaml").write_text(HELLO.replace("state: live", "state: paused"))
            process.tell(signal.SIGHUP)
            await at_rest(process)
            assert await process.value("nearcast_deliveries_total", outcome="cancelled") == 2
            assert len(await process.get("/v1/deliveries?outcome=cancelled")) == 2
            sink.status = lambda: 204
            tried = len(sink.got)
            (site / "rules/all.yaml").write_text(HELLO)
            process.tell(signal.SIGHUP)
            await until(lambda: len(process.lines("site in force")) == 2, "the rule is live again")
            now_ms = process.now_ms()
            await process.post(
                {"device": "d-1", "time": now_ms + 1, **OUT}, {"device": "d-1", "time": now_ms + 2, **OUT}
            )
            await process.post({"device": "d-1", "time": now_ms + 3, **IN})
            await until(lambda: len(sink.keys) == 1, "a new visit is told again")
            assert len(sink.got) == tried + 1, "a cancelled message was tried again"


@live()
async def test_a_start_on_bad_files_runs_the_stored_version_and_one_on_no_version_ends(tmp_path: Path) -> None:
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", rules=BAD, sink=sink.url)
        done = await command("run", site, "--listen", "127.0.0.1:0")
        assert done.returncode == 1
        assert "rules/all.yaml:4:" in done.stderr and "Traceback" not in done.stderr
        (site / "rules/all.yaml").write_text(HELLO)
        async with process_of(site) as process:
            await process.consent(["d-1"])
            assert await process.end() == 0
            (site / "rules/all.yaml").write_text(BAD)
            await process.start()
            assert await process.value(SUCCESS) == 0
            assert any("rules/all.yaml:4:" in line["mistake"] for line in process.lines("mistake in the site"))
            await process.post({"device": "d-1", "time": process.now_ms(), **IN})
            await until(lambda: len(sink.keys) == 1, "the stored version sends")


@live()
async def test_a_reload_that_changes_the_fences_ends_presence_and_begins_it_without_a_ping(tmp_path: Path) -> None:
    moved = {
        "type": "Feature", "id": "new", "properties": {"radius_m": 100, "timezone": "UTC"},
        "geometry": {"type": "Point", "coordinates": [IN["lng"], IN["lat"]]},
    }  # fmt: skip
    site = write_site(tmp_path / "site")
    async with process_of(site) as process:
        await process.post({"device": "d-1", "time": process.now_ms(), **IN})
        assert [line["device"] for line in await process.get("/v1/places/shinjuku/present")] == ["d-1"]
        write_site(site, features=[moved], rules="")
        process.tell(signal.SIGHUP)
        await until(lambda: process.lines("site in force"), "the new fences are in force")
        assert [line["device"] for line in await process.get("/v1/places/new/present")] == ["d-1"]
        assert (await process.ask("GET", "/v1/places/shinjuku/present"))[0] == 404
        metrics = await process.metrics()
        assert metrics.sum("nearcast_transitions_total", kind="entered") == 2
        assert metrics.sum("nearcast_transitions_total", kind="exited") == 1
        await asyncio.gather(*(process.is_ready() for _ in range(10)))


@live()
async def test_keys_and_limits_change_without_a_start_and_what_cannot_run_here_is_refused(tmp_path: Path) -> None:
    keys = "keys: {ingest: [ingest-1], admin: [admin-1]}\n"
    site = write_site(tmp_path / "site", settings=keys)
    async with process_of(site, Authorization="Bearer admin-1") as process:

        async def posted(key: str, count: int = 1) -> int:
            pings = [{"device": f"d-{n}", "time": process.now_ms(), **IN} for n in range(count)]
            return (await process.ask("POST", "/v1/pings", json=pings, headers={"Authorization": f"Bearer {key}"}))[0]

        assert [await posted("ingest-1", 3), await posted("ingest-2")] == [202, 401]
        write_site(site, settings=keys.replace("ingest-1", "ingest-2") + "ping: {max_batch: 2}\n")
        process.tell(signal.SIGHUP)
        await until(lambda: process.lines("site in force"), "the new settings are in force")
        assert [await posted("ingest-1"), await posted("ingest-2", 2), await posted("ingest-2", 3)] == [401, 202, 413]
        write_site(site, settings=keys.replace("ingest-1", "'${NEARCAST_NOT_SET}'"))
        process.tell(signal.SIGHUP)
        await reload_says(process, False)
        assert any("`NEARCAST_NOT_SET`" in line["mistake"] for line in process.lines("mistake in the site"))
        assert [await posted("ingest-1"), await posted("ingest-2")] == [401, 202]
        write_site(site, settings=keys)
        process.tell(signal.SIGHUP)
        await reload_says(process, True)
        assert [await posted("ingest-1", 3), await posted("ingest-2")] == [202, 401]


@live()
async def test_an_edit_made_while_the_disk_is_full_comes_into_force_once_it_is_not(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    with small_disk(site / "var", 64) as disk:
        async with process_of(site) as process:
            fill(disk / "filler")
            ping = {"device": "d-1", "time": process.now_ms(), **IN}
            assert (await process.ask("POST", "/v1/pings", json=ping))[0] == 503
            (site / "rules/all.yaml").write_text(HELLO + "priority: 7\n")
            await reload_says(process, False)
            assert not process.lines("site in force")
            (disk / "filler").unlink()
            await reload_says(process, True)
            assert len(process.lines("site in force")) == len(process.lines("reload refused")) == 1
