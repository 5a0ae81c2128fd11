"""Who is erased while a message is under way to them: nothing more is sent, and nothing of the message stays."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.cluster.fleet import cluster_settings, fleet_of, redis_command
from tests.live.process import live, until
from tests.live.reckoning import IN, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers


@live(200)
async def test_of_a_message_that_was_under_way_to_who_was_erased_nothing_stays(
    servers: Servers, tmp_path: Path
) -> None:
    users, answers = ["u", "v"], [500, 204]
    async with sink_of(answers.pop) as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "erased")
        site = write_site(tmp_path / "erased", settings=settings, sink=sink.url)
        async with fleet_of(site, servers, "erased", workers=1) as fleet:
            gateway = fleet.gateway
            await gateway.consent(users)
            sink.hold = asyncio.Event()
            for user in users:
                await gateway.post({"device": f"d-{user}", "user": user, "time": gateway.now_ms(), **IN})

            async def noted() -> bool:
                return len(await gateway.get("/v1/deliveries?outcome=pending")) == sink.open == len(users)

            await until(noted, "both are under way, and noted")
            for user in users:
                assert (await gateway.ask("DELETE", f"/v1/users/{user}"))[0] == 204
            sink.hold.set()
            await fleet.folded()
            assert len(sink.got) == len(users)
            assert await gateway.get("/v1/deliveries") == []
            assert redis_command(servers, "--scan", "--pattern", "*erased*deliver*") == ""
