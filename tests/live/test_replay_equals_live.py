"""A replay of what a process kept gives the very ids, outcomes and reasons that the process gave."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from typing import TYPE_CHECKING, Any

from tests.exact import worlds
from tests.live.process import Process, at_rest, command, live, process_of, until
from tests.live.reckoning import STAYS, h, jsonl, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path


async def post_in_random_batches(process: Process, pings: list[dict[str, Any]], rng: random.Random) -> None:
    start = 0
    while start < len(pings):
        size = rng.choice((1, 3, 30, 400, 3_000))
        await process.post(*pings[start : start + size])
        start += size


async def reload(process: Process) -> None:
    """SIGHUP, and wait for the new version."""
    before = len(process.lines("site in force"))
    process.tell(signal.SIGHUP)
    await until(lambda: len(process.lines("site in force")) > before, "the new version is in force")


async def replayed(process: Process, *what: str | Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(decisions, transitions) of a replay."""
    files = [process.site / f"{name}.out" for name in ("decisions", "transitions")]
    done = await command("replay", process.site, *what, "--decisions", files[0], "--transitions", files[1], "--json")
    assert done.returncode == 0, done.stderr
    return jsonl(files[0]), jsonl(files[1])


def up_to(transitions: list[dict[str, Any]], last: dict[str, int]) -> set[tuple[str, ...]]:
    """The transitions up to the last fix of each device, those of edits left out."""
    return {
        (t["id"], t["episode"], t["device"], t["user"], t["place"], t["kind"], t["time"], t["cause"])
        for t in transitions
        if t["cause"] != "edited" and _ms(t["time"]) <= last[t["device"]]
    }


def _ms(text: str) -> int:
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


@live()
async def test_a_replay_of_the_store_decides_what_the_process_decided(tmp_path: Path) -> None:
    rng = random.Random(21)
    fences = [f for f in worlds.fences(600, rng) if not f.reach_m]
    users = [f"u{n}" for n in range(60)]
    async with sink_of() as sink:
        site = write_site(tmp_path / "site", fences, rules=STAYS, sink=sink.url)
        async with process_of(site) as process:
            t0 = process.now_ms() - 20 * 3_600_000
            pings = [p | {"user": f"u{int(p['device'][1:]) // 2}"} for p in worlds.walkers(120, 150, rng, t0)]
            third = len(pings) // 3
            await process.consent(users)
            await post_in_random_batches(process, pings[:third], rng)
            await at_rest(process)  # a message still waiting would be withdrawn with the consent
            await change_the_people(process, users)
            (site / "rules/all.yaml").write_text(STAYS.replace("of: 1h", "of: 5m").replace("for: 1m", "for: 2m"))
            await reload(process)
            await post_in_random_batches(process, pings[third : 2 * third], rng)
            last = {p["device"]: p["time"] for p in sorted(pings[: 2 * third], key=lambda p: p["time"])}
            write_site(site, fences[: len(fences) // 2], rules=STAYS, sink=sink.url)
            await reload(process)
            await post_in_random_batches(process, pings[2 * third :], rng)
            await at_rest(process)
            lines = [await process.get(f"/v1/users/{user}/decisions?limit=1000") for user in users]
            live_decisions = {d["key"]: d for each in lines for d in each}
            assert await process.end() == 0

            decisions, transitions = await replayed(process, "--from-store")
            assert {d["key"]: d for d in decisions} == live_decisions
            sent = {h(d["key"], "0") for d in decisions if d["outcome"] == "send"}
            assert sink.keys == sent and len(sink.taken) == len(sent)
            assert {d["reason"] for d in decisions} >= {"sent", "consent", "audience", "cap"}
            assert {t["cause"] for t in transitions} >= {"fix", "timer", "edited", "silent"}

            write_site(site, fences, rules=STAYS, sink=sink.url)
            recording = tmp_path / "recording.jsonl"
            recording.write_text("".join(json.dumps(p) + "\n" for p in pings[: 2 * third]))
            of_the_file = (await replayed(process, recording))[1]
            kinds = ("entered", "exited")  # the rule's `for` changed on the way
            assert up_to([t for t in of_the_file if t["kind"] in kinds], last) == up_to(
                [t for t in transitions if t["kind"] in kinds], last
            )


async def change_the_people(process: Process, users: list[str]) -> None:
    """Some withdraw, some turn gold, some buy; all at the same time."""
    await asyncio.gather(*(process.change(user, consent={"location_marketing": False}) for user in users[::5]))
    await asyncio.gather(*(process.change(user, attributes={"tier": "gold"}) for user in users[::2]))
    events = [
        {"id": f"e-{user}", "user": user, "type": "purchase", "time": process.now_ms(), "data": {"sku": "x"}}
        for user in users[::3]
    ]
    assert (await process.ask("POST", "/v1/events", json=events))[1]["accepted"] == len(events)
