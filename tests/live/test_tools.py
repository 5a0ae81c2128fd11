"""The commands beside a running process: explain, send, backup."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from typing import TYPE_CHECKING

from tests.exact import worlds
from tests.live.load import Crowd
from tests.live.process import command, live, process_of, until
from tests.live.reckoning import HELLO, IN, jsonl, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

GOLD = HELLO.replace("{consent: location_marketing}", "{consent: location_marketing}, {attribute: tier, is: gold}")


@live()
async def test_explain_says_which_clause_of_which_rule_kept_a_message_back_and_what_was_seen(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site", rules=GOLD)) as process:
        await process.change("u-1", consent={"location_marketing": True}, attributes={"tier": "silver"})
        await process.post(
            {"device": "d-1", "user": "u-1", "time": process.now_ms(), **IN},
            {"device": "d-2", "user": "u-2", "time": process.now_ms(), **IN},
        )
        done = await command("explain", process.site, "--user", "u-1")
        assert done.returncode == 0, done.stderr
        for word in ("hello", "audience.all[1]", "tier", "silver", "gold"):
            assert word in done.stdout, (word, done.stdout)
        told = json.loads((await command("explain", process.site, "--user", "u-1", "--json")).stdout)
        assert "audience.all[1].attribute" in json.dumps(told) and "silver" in json.dumps(told)
        stranger = await command("explain", process.site, "--user", "u-2", "--rule", "hello")
        assert stranger.returncode == 0 and "consent" in stranger.stdout
        nobody = await command("explain", process.site, "--user", "nobody")
        assert nobody.returncode in (0, 1) and "nobody" in nobody.stdout + nobody.stderr


@live()
async def test_send_reaches_a_test_user_through_the_real_channel_and_nobody_else(tmp_path: Path) -> None:
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", settings="test_users: [me]\n", sink=sink.url)
        async with process_of(site) as process:
            done = await command("send", site, "--rule", "hello", "--user", "me")
            assert done.returncode == 0, done.stderr
            [arrival] = sink.got
            assert (arrival.data["user"], arrival.data["title"]) == ("me", "Hello") and not sink.forged
            refused = await command("send", site, "--rule", "hello", "--user", "you")
            assert refused.returncode == 1 and "`you` is no test user" in refused.stderr
            assert len(sink.got) == 1
            assert await process.value("nearcast_deliveries_begun_total") == 0


@live()
async def test_a_backup_under_load_is_a_whole_store_that_replays_and_runs(tmp_path: Path) -> None:
    rng = random.Random(61)
    fences = [f for f in worlds.fences(1_600, rng) if not f.reach_m]
    settings = "detection: {preset: instant}\n"
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", fences, settings=settings, sink=sink.url)
        copy = tmp_path / "copy.db"
        async with process_of(site) as process:
            pings = worlds.walkers(300, 40, rng, process.now_ms() - 20 * 3_600_000)
            await process.consent(sorted({p["device"] for p in pings}))
            crowd = Crowd(process, 2_000)
            async with crowd.posting(pings):
                await until(lambda: len(crowd.acked) > len(pings) // 2, "half was posted")
                before = [(p["device"], p["time"]) for p in crowd.acked]
                done = await command("backup", site, copy)
                assert done.returncode == 0, done.stderr
            assert (await command("backup", site, copy)).returncode == 1, "it wrote over a copy"
            lines = [await process.get(f"/v1/users/d{n}/decisions?limit=1000") for n in range(300)]
            decided = {d["key"]: d for each in lines for d in each}
        out = tmp_path / "decisions.out"
        done = await command("replay", site, copy, "--decisions", out, "--json")
        assert done.returncode == 0, done.stderr
        of_the_copy = {d["key"]: d for d in jsonl(out)}
        assert of_the_copy and of_the_copy.items() <= decided.items()
        assert json.loads(done.stdout)["pings"] >= len(before)
        second = write_site(tmp_path / "second", fences, settings=settings, sink=sink.url)
        (second / "var").mkdir()
        shutil.copyfile(copy, second / "var/nearcast.db")
        async with process_of(second) as process:
            await process.post({"device": "d0", "time": process.now_ms(), **IN})
            assert await process.end() == 0
        await asyncio.to_thread(copy.unlink)
