"""An edit of the site's files under a running cluster: in force in every process and every shard, or in none."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

from engine.wire import Edited, decode_frame
from tests.cluster.fleet import SHARDS, cluster_settings, fleet_of
from tests.live.process import live, until
from tests.live.reckoning import IN, PLACE, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cluster.conftest import Servers
    from tests.cluster.fleet import Fleet
    from tests.live.sink import Sink

AT_ANNEX = {"lat": 35.70, "lng": 139.71, "accuracy": 5.0}
ANNEX: dict[str, Any] = {
    "type": "Feature",
    "id": "annex",
    "geometry": {"type": "Point", "coordinates": [139.71, 35.70]},
    "properties": {"radius_m": 100, "name": "Annex", "tags": ["any"], "timezone": "Asia/Tokyo"},
}


async def everywhere(fleet: Fleet, name: str, value: float) -> None:
    """Wait until each process tells this of itself."""

    async def all_tell() -> bool:
        return all([await member.value(name) == value for member in fleet.members.values()])

    await until(all_tell, f"every process tells {name} {value:g}", 60, 0.1)


async def brought_into_all_shards(fleet: Fleet) -> None:
    """Wait until an edit stands in each shard's records, and is folded."""

    async def all_have_it() -> bool:
        records = await fleet.records("pings")
        edited = {r.partition for r in records if any(isinstance(i, Edited) for i in decode_frame(r.value).inputs)}
        return len(edited) == SHARDS

    await until(all_have_it, "the edit stands in each shard", 60, 0.2)
    await fleet.folded()


def told(sink: Sink) -> list[tuple[str, str, str]]:
    return sorted((a.data["device"], a.data["title"], a.data["body"]) for a in sink.taken)


@live(240)
async def test_an_edit_reaches_every_process_and_shard_and_a_bad_one_none(servers: Servers, tmp_path: Path) -> None:
    async with sink_of() as sink:
        settings = "detection: {preset: instant}\n" + cluster_settings(servers, "edit")
        site = write_site(tmp_path / "edit", settings=settings, sink=sink.url)
        devices = [f"e{n}" for n in range(40)]
        async with fleet_of(site, servers, "edit") as fleet:
            await fleet.gateway.consent(devices)
            now_ms = fleet.gateway.now_ms() - 60_000
            await fleet.gateway.post(*({"device": d, "time": now_ms, **IN} for d in devices))
            await fleet.folded()
            before = [(d, "Hello", "You are at Shinjuku") for d in sorted(devices)]
            assert told(sink) == before

            rules, fences = site / "rules/all.yaml", site / "fences/all.geojson"
            good = rules.read_text()
            rules.write_text(good.replace("state: live", "state: alive"))
            await everywhere(fleet, "nearcast_config_last_reload_successful", 0)
            await everywhere(fleet, "nearcast_fences", 1)
            assert (await fleet.gateway.ask("GET", "/v1/places/annex/present"))[0] == 404

            (site / "templates/hello.yaml").write_text('en: {title: "Hello again", body: "You are at {place.name}"}\n')
            fences.write_text(json.dumps({"type": "FeatureCollection", "features": [PLACE, ANNEX]}))
            rules.write_text(good)
            await everywhere(fleet, "nearcast_fences", 2)
            await everywhere(fleet, "nearcast_config_last_reload_successful", 1)
            await brought_into_all_shards(fleet)
            # whoever was there before the edit is there still, and enters nothing anew
            await fleet.gateway.post(*({"device": d, "time": now_ms + 1_000, **IN} for d in devices))
            await fleet.gateway.post(*({"device": d, "time": now_ms + 2_000, **AT_ANNEX} for d in devices))
            await fleet.folded()
            assert told(sink) == sorted([*before, *((d, "Hello again", "You are at Annex") for d in devices)])
            assert not await fleet.records("pings.dead")
            # a gateway that is told of an edit while it starts lives on, and brings it in force
            await fleet.gateway.kill()
            fleet.gateway.launch()
            await until(fleet.gateway.minds_hangups, "it is far enough not to be ended by a hangup", 20)
            rules.write_text(good.replace("state: live", "state: paused"))
            fleet.gateway.tell(signal.SIGHUP)
            await fleet.gateway.started()

            async def paused() -> bool:
                return all([await m.value("nearcast_rules", state="paused") == 1 for m in fleet.members.values()])

            await until(paused, "every process tells of the paused rule", 60, 0.1)
