"""Redis or the broker is not there: who has nothing to do says so too, ends in good order, starts when it is back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.fleet import cluster_settings, fleet_of
from tests.cluster.servers import free_port
from tests.live.process import command, live, nearcast, until
from tests.live.reckoning import IN, write_site

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers
    from tests.cluster.fleet import Member

#: "Within a few seconds", on a machine that does other things too.
SOON_S = 20


async def all_say(members: list[Member], *, ready: bool) -> None:
    for member in members:

        async def says(member: Member = member) -> bool:
            return await member.is_ready() is ready

        await until(says, f"{member.name} says that it is {'' if ready else 'not '}ready", SOON_S, 0.1)


@live(280)
async def test_who_is_idle_says_that_a_server_is_away_and_ends_in_good_order(servers: Servers, tmp_path: Path) -> None:
    settings = "detection: {preset: instant}\n" + cluster_settings(servers, "idle")
    site = write_site(tmp_path / "idle", settings=settings)
    async with fleet_of(site, servers, "idle", workers=1) as fleet:
        gateway, worker, dispatcher = fleet.gateway, *fleet.of("worker"), *fleet.of("dispatcher")
        await gateway.consent(["u", "v"])
        await gateway.post({"device": "d", "user": "v", "time": gateway.now_ms(), **IN})
        await fleet.folded()
        assert [one["device"] for one in await gateway.get("/v1/places/shinjuku/present")] == ["d"]

        servers.redis.kill()
        try:
            await all_say([worker, dispatcher], ready=False)
            assert await gateway.is_ready(), "pings are taken"
            assert (await gateway.ask("DELETE", "/v1/users/u"))[0] == 503
            assert (await gateway.ask("PUT", "/v1/users/u", json={"consent": {"location_marketing": False}}))[0] == 503
        finally:
            servers.redis.start()
        # the connections that were used before are not, and that is nobody's fault who asks
        assert [one["device"] for one in await gateway.get("/v1/places/shinjuku/present")] == ["d"]
        assert (await gateway.ask("DELETE", "/v1/users/u"))[0] == 204
        await all_say([worker, dispatcher], ready=True)

        servers.kafka.kill()
        try:
            await all_say([gateway, worker, dispatcher], ready=False)

            async def shards_wait() -> bool:
                return await worker.value("nearcast_shards_waiting") == await worker.value("nearcast_shards") == 4

            await until(shards_wait, "its shards wait", SOON_S, 0.1)
            done = await command("worker", site, "--listen", "127.0.0.1:0")
            assert done.returncode == 3 and "see `cluster.brokers`" in done.stderr.splitlines()[-1], done.stderr
            for member in (gateway, worker, dispatcher):
                assert (member.name, await member.end()) == (member.name, 0)
                assert "Traceback" not in member.log_file.read_text()
        finally:
            servers.kafka.start()


@pytest.mark.parametrize(
    ("redis", "code", "said"),
    [
        ("redis://127.0.0.1:{free}/0", 3, "redis does not answer, see `cluster.redis`"),
        ("redis+cluster://127.0.0.1:{free}", 3, "redis does not answer, see `cluster.redis`"),
        ("redis://127.0.0.1:{port}/99", 1, "redis refuses the number of the database that `cluster.redis` ends with"),
        ("redis://nobody:${{WRONG}}@127.0.0.1:{port}/0", 1, "redis refuses the login that `cluster.redis` names"),
        ("redis+cluster://127.0.0.1:{port}", 1, "`cluster.redis` names a redis that is no Redis Cluster"),
    ],
)
def test_what_is_away_is_worth_another_start_and_what_refuses_is_not(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis: str, code: int, said: str
) -> None:
    monkeypatch.setenv("WRONG", "nonsense")
    url = redis.format(free=free_port(), port=servers.redis.port)
    settings = f'cluster: {{brokers: ["{servers.kafka.brokers}"], redis: "{url}"}}\n'
    done = nearcast("dispatcher", write_site(tmp_path / "site", settings=settings), "--listen", "127.0.0.1:0")
    line = done.stderr.strip().splitlines()[-1]
    assert (done.returncode, line.startswith(said)) == (code, True), done.stderr
