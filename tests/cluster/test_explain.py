"""`nearcast explain` on a site that is a cluster: what Redis keeps is told as the store of `run` is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.cluster.fleet import cluster_settings, fleet_of
from tests.live.process import at_rest, command, live, nearcast, process_of
from tests.live.reckoning import IN, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers
    from tests.live.process import Process

#: What a decision is, but for when it was made.
SAME = ("key", "rule", "rule_version", "user", "device", "place", "occasion", "outcome", "reason", "clause", "clauses")


async def walk(process: Process, now_ms: int) -> None:
    """Two people come into the shop; one of them has given consent."""
    await process.consent(["yes"])
    await process.post(*({"device": d, "time": now_ms, **IN} for d in ("yes", "no")))


async def explained(site: Path, user: str, *more: str) -> Any:
    done = await command("explain", site, "--user", user, "--json", *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["decisions"]


def what(decisions: list[Any]) -> list[Any]:
    """The decisions and how their messages stand, but for when."""
    return [
        {name: d[name] for name in SAME} | {"deliveries": [(m["key"], m["outcome"]) for m in d["deliveries"]]}
        for d in decisions
    ]


@live(240)
async def test_a_cluster_explains_what_one_process_explains(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        site = write_site(tmp_path / "explain", settings=cluster_settings(servers, "explain"), sink=sink.url)
        async with process_of(site) as process:  # the same pings, a store of `run`
            now_ms = process.now_ms() - 60_000
            await walk(process, now_ms)
            await at_rest(process)
            assert await process.end() == 0
        of_run = {user: what(await explained(site, user, "--from-store")) for user in ("yes", "no")}
        assert [d["reason"] for user in ("yes", "no") for d in of_run[user]] == ["sent", "consent"]
        before = await command("explain", site, "--user", "yes")  # no worker has begun: there is the store only
        assert "keeps nothing of a cluster `explain`: the store of `run` is asked" in before.stderr
        assert "hello  entered shinjuku  sent" in before.stdout
        (site / "var").rename(tmp_path / "var")
        async with fleet_of(site, servers, "explain", workers=1) as fleet:
            await walk(fleet.gateway, now_ms)
            await fleet.folded()
            assert {user: what(await explained(site, user)) for user in ("yes", "no")} == of_run
            rules = site / "rules/all.yaml"
            rules.write_text(rules.read_text().replace("cooldown: none", "cooldown: {per: user, of: 1h}"))
            (found,) = await explained(site, "no")  # under the version that it was decided under
            assert {c["path"]: c["text"] for c in found["clauses"]}["limits.cooldown"] == "none"
            nobody = await command("explain", site, "--user", "nobody")
            assert nobody.stdout == "" and "`explain.transitions` tells where `nobody` entered" in nobody.stderr
        (tmp_path / "var").rename(site / "var")
        both = await command("explain", site, "--user", "yes")
        assert "asked of the cluster `explain`, `--from-store` asks the store of `run`" in both.stderr


def test_where_nothing_can_be_asked_one_line_says_so(servers: Servers, tmp_path: Path) -> None:
    site = write_site(tmp_path / "away", settings='cluster: {redis: "redis://127.0.0.1:9/0"}\n')
    done = nearcast("explain", site, "--user", "u")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and not done.stdout
    assert line.startswith("`cluster.redis` cannot be asked: redis does not answer"), line
    assert line.endswith(f"and there is no store of `nearcast run` at `{site}/var/nearcast.db` either"), line
    site = write_site(tmp_path / "stranger", settings=cluster_settings(servers, "stranger"))
    done = nearcast("explain", site, "--user", "u")
    assert done.returncode == 1 and "`cluster.redis` keeps nothing of a cluster `stranger`" in done.stderr
