"""The metrics balance at rest, over a process's life, whatever the channel answers."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from tests.exact import worlds
from tests.live.load import Crowd
from tests.live.process import Process, at_rest, live, process_of, until
from tests.live.reckoning import pending, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path


async def check_balance(process: Process, at_start: int) -> dict[str, float]:
    """Both balances; returns the outcomes."""
    metrics = await process.metrics()
    assert metrics.pings_balance()
    sent = metrics.sum("nearcast_decisions_total", outcome="send")
    assert metrics.sum("nearcast_deliveries_begun_total") == sent
    resent = metrics.sum("nearcast_deliveries_resent_total")
    names = ("delivered", "failed", "expired", "cancelled", "withdrawn", "unknown")
    outcomes = {name: metrics.sum("nearcast_deliveries_total", outcome=name) for name in names}
    waiting = metrics.sum("nearcast_deliveries_pending")
    assert at_start + sent + resent == sum(outcomes.values()) + waiting, (at_start, sent, resent, outcomes, waiting)
    return outcomes


async def resend_all(process: Process) -> int:
    failed = await process.get("/v1/deliveries?outcome=failed&limit=1000")
    for delivery in failed:
        assert (await process.ask("POST", f"/v1/deliveries/{delivery['key']}/resend"))[0] in (202, 204)
    return len(failed)


@live()
async def test_counts_balance_after_load_with_failures_and_over_a_restart(tmp_path: Path) -> None:
    rng = random.Random(41)
    fences = [f for f in worlds.fences(1_600, rng) if not f.reach_m]
    answers: list[Any] = [204, 204, 204, 503, 400]
    async with sink_of(lambda: rng.choice(answers)) as sink:
        site = write_site(tmp_path / "site", fences, settings="detection: {preset: instant}\n", sink=sink.url)
        async with process_of(site) as process:
            pings = worlds.walkers(300, 26, rng, process.now_ms() - 20 * 3_600_000)
            await process.consent(sorted({p["device"] for p in pings}))
            crowd = Crowd(process, 4_000)
            await crowd.post(pings[: len(pings) // 2])
            bad = [{"device": "d0", "time": 5, "lat": 1, "lng": 1}, pings[0]]
            assert (await process.ask("POST", "/v1/pings", json=bad))[0] == 202
            await at_rest(process)
            outcomes = await check_balance(process, 0)
            assert outcomes["delivered"] and outcomes["failed"]
            assert await resend_all(process) == outcomes["failed"]
            await at_rest(process)
            await check_balance(process, 0)

            answers[:] = [503]
            await crowd.post(pings[len(pings) // 2 :])
            assert await process.value("nearcast_deliveries_pending") > 10
            assert await process.end() == 0
            at_start = len(pending(process.store))
            await process.start()
            await check_balance(process, at_start)
            answers[:] = [204]
            await at_rest(process)
            assert (await check_balance(process, at_start))["delivered"] == at_start

            answers[:] = [503]
            await process.post({"device": "new", "time": process.now_ms(), "lat": 0, "lng": 0})
            await process.kill()
            at_start = len(pending(process.store))
            await process.start()
            assert await process.value("nearcast_deliveries_pending") == at_start
            answers[:] = [204]
            await until(lambda: not sink.open, "all have landed")
            await at_rest(process)
            await check_balance(process, at_start)
