"""What apps, marketers and the persons themselves ask of the process: decisions, messages, export, erasure."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.process import Process, at_rest, command, live, process_of, until
from tests.live.reckoning import IN, OUT, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.live.sink import Sink

ERASED = {"user": "user-to-be-forgotten", "device": "device-to-be-forgotten"}


@live()
async def test_an_app_that_waits_gets_its_message_and_the_same_again_when_it_asks_again(tmp_path: Path) -> None:
    async with sink_of() as sink, process_of(write_site(tmp_path / "site", sink=sink.url)) as process:
        await process.consent(["u-1"])
        ping = {"device": "d-1", "user": "u-1", "time": process.now_ms(), **IN}
        first = await process.post(ping, query="?wait=500ms")
        again = await process.post(ping, query="?wait=500ms")
        [decision], [message] = first["decisions"], first["messages"]
        assert (first["accepted"], again["accepted"], again["duplicate"]) == (1, 0, 1)
        assert (decision["outcome"], decision["reason"], decision["user"]) == ("send", "sent", "u-1")
        assert message == {
            "key": message["key"], "channel": "push", "title": "Hello", "body": "You are at Shinjuku", "data": {},
            "ttl_s": 600, "collapse_key": message["collapse_key"],
        }  # fmt: skip
        assert (again["decisions"], again["messages"]) == (first["decisions"], first["messages"])
        await at_rest(process)
        assert [a.key for a in sink.got] == [message["key"]]
        assert (await process.post({**ping, "time": ping["time"] + 1}, query="?wait=2s"))["decisions"] == []
        assert await process.get("/v1/users/u-1/decisions") == [decision]


@live()
async def test_an_app_that_asks_again_gets_its_message_also_when_a_newer_ping_came_first(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        await process.consent(["u-1"])
        ping = {"device": "d-1", "user": "u-1", "time": process.now_ms() - 2000, **IN}
        first = await process.post(ping, query="?wait=500ms")
        await process.post(ping | {"time": ping["time"] + 1000})
        again = await process.post(ping, query="?wait=500ms")
        assert (again["accepted"], again["duplicate"]) == (1, 0), "it is late, and nothing else"
        assert (again["decisions"], again["messages"]) == (first["decisions"], first["messages"])
        assert len(again["messages"]) == 1


@live()
async def test_a_repeated_change_of_a_user_gives_back_nothing_that_was_withdrawn_meanwhile(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        agrees = {
            "id": "consent-1", "user": "u-1", "type": "user.updated", "time": process.now_ms(),
            "data": {"consent": {"location_marketing": True}},
        }  # fmt: skip
        events = [agrees, agrees | {"id": "consent-2", "data": {"consent": {"other": True}}}, agrees]
        status, told = await process.ask("POST", "/v1/events", json=events)
        assert (status, told["accepted"], told["duplicate"]) == (202, 2, 1)
        await process.change("u-1", consent={"location_marketing": False})
        for life in range(2):
            status, told = await process.ask("POST", "/v1/events", json=agrees)
            assert (status, told["accepted"], told["duplicate"]) == (202, 0, 1)
            assert (await process.get("/v1/users/u-1"))["consent"] == {"location_marketing": False, "other": True}
            if life == 0:
                await process.kill()
                await process.start()


@live()
async def test_what_is_kept_of_a_person_and_a_place_can_be_asked_for(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        await process.change("u-1", attributes={"tier": "gold"}, locale="ja", timezone="Asia/Tokyo")
        await process.consent(["u-1"])
        time_ms = process.now_ms()
        await process.post({"device": "d-1", "user": "u-1", "time": time_ms, **IN})
        event = {"id": "e-1", "user": "u-1", "type": "purchase", "time": time_ms, "data": {"sku": "x"}}
        assert (await process.ask("POST", "/v1/events", json=event))[0] == 202
        user = await process.get("/v1/users/u-1")
        assert user["attributes"] == {"tier": "gold"} and user["consent"] == {"location_marketing": True}
        export = await process.get("/v1/users/u-1/export")
        assert export["attributes"] == {"tier": "gold"} and export["locale"] == "ja"
        assert [(p["device"], p["lat"], p["lng"]) for p in export["pings"]] == [("d-1", IN["lat"], IN["lng"])]
        assert [e["id"] for e in export["posted_events"]] == ["e-1"]
        assert len(export["decisions"]) == len(export["deliveries"]) == 1 and len(export["changes"]) == 2
        [near] = await process.get("/v1/places/near?lat=35.69&lng=139.70")
        assert (near["id"], near["name"]) == ("shinjuku", "Shinjuku")
        assert near["radius_m"] == pytest.approx(100, abs=1) and near["distance_m"] < 110
        [present] = await process.get("/v1/places/shinjuku/present")
        assert (present["device"], present["user"]) == ("d-1", "u-1")
        assert present["since"] == present["last_seen"]
        assert (await process.ask("GET", "/v1/users/nobody/export"))[0] == 404


async def tried(process: Process, sink: Sink) -> None:
    """Somebody who agrees has come, and their message was tried."""
    await process.consent(["d-1"])
    await process.post({"device": "d-1", "time": process.now_ms(), **IN})
    await until(lambda: sink.got, "it is tried")


@live()
async def test_a_failed_message_is_listed_and_is_sent_again_when_asked(tmp_path: Path) -> None:
    async with sink_of(lambda: 400) as sink, process_of(write_site(tmp_path / "site", sink=sink.url)) as process:
        await tried(process, sink)
        await at_rest(process)
        [failed] = await process.get("/v1/deliveries?outcome=failed")
        assert failed["key"] == sink.got[0].key
        sink.status = lambda: 204
        status, _ = await process.ask("POST", f"/v1/deliveries/{failed['key']}/resend")
        assert status in (202, 204)
        await until(lambda: sink.keys == {failed["key"]}, "it is sent again, under its key")
        await at_rest(process)
        assert await process.get("/v1/deliveries?outcome=failed") == []
        assert [d["key"] for d in await process.get("/v1/deliveries?outcome=delivered")] == [failed["key"]]
        assert (await process.ask("POST", f"/v1/deliveries/{failed['key']}/resend"))[0] == 409
        assert (await process.ask("POST", "/v1/deliveries/none/resend"))[0] == 404
        metrics = await process.metrics()
        assert metrics.sum("nearcast_deliveries_resent_total") == 1


@live()
async def test_of_a_message_that_waits_its_attempts_are_told(tmp_path: Path) -> None:
    """The store has none of them until it ends, so it was said that none was made."""
    async with sink_of(lambda: 503) as sink, process_of(write_site(tmp_path / "site", sink=sink.url)) as process:
        await process.consent(["d-1"])
        await process.post({"device": "d-1", "time": process.now_ms(), **IN})
        await until(lambda: len(sink.got) > 1, "it is tried again")

        async def told() -> bool:
            [waits] = await process.get("/v1/deliveries?outcome=pending")
            return waits["attempts"] > 1 and waits["detail"] == "answered 503"

        await until(told, "how often it was tried is told")
        export = await process.get("/v1/users/d-1/export")
        assert [d["detail"] for d in export["deliveries"]] == ["answered 503"]


@live()
async def test_of_many_who_ask_at_once_for_a_message_to_be_sent_again_one_is_served(tmp_path: Path) -> None:
    """Each found it failed before any had sent it: two were served, and it was handed over twice."""
    async with sink_of(lambda: 400) as sink, process_of(write_site(tmp_path / "site", sink=sink.url)) as process:
        await tried(process, sink)
        for served in range(1, 6):
            await at_rest(process)
            [failed] = await process.get("/v1/deliveries?outcome=failed")
            sink.hold = asyncio.Event()
            again = f"/v1/deliveries/{failed['key']}/resend"
            answers = await asyncio.gather(*(process.ask("POST", again) for _ in range(8)))
            assert sorted(status for status, _ in answers) == [202] + [409] * 7
            sink.hold.set()
            await at_rest(process)
            metrics = await process.metrics()
            assert len(sink.got) == 1 + served
            assert metrics.sum("nearcast_deliveries_resent_total") == served
            assert metrics.sum("nearcast_deliveries_total") == 1 + served
        [failed] = await process.get("/v1/deliveries?outcome=failed")
        expires_ms = datetime.fromisoformat(failed["expires"]).timestamp() * 1000
        assert expires_ms < process.now_ms() + 3_600_000 + 1_000, "each time its `ttl` counts from then"


def bytes_left(store: Path) -> set[str]:
    """Which of the ids are in any of the store's files."""
    files = [f for f in store.parent.iterdir() if f.name.startswith(store.name)]
    data = b"".join(f.read_bytes() for f in files)
    return {name for name in ERASED.values() if name.encode() in data}


async def fill_with_a_life(process: Process) -> None:
    """Pings, some of which name no user, events, attributes and a pending message of one person among others."""
    await process.change(ERASED["user"], attributes={"tier": "gold"}, consent={"location_marketing": True})
    now_ms = process.now_ms()
    for n in range(30):
        where = IN if n % 3 else OUT
        named: dict[str, Any] = ERASED if n % 2 else {"device": ERASED["device"]}
        await process.post(
            {"time": now_ms - 60_000 + n * 1_000, **named, **where},
            {"time": now_ms - 60_000 + n * 1_000, "device": "d-other", "user": "u-other", **where},
        )
    event = {"id": "e-1", "user": ERASED["user"], "type": "purchase", "time": now_ms, "data": {"sku": "x"}}
    assert (await process.ask("POST", "/v1/events", json=event))[0] == 202


@live()
async def test_a_forgotten_person_is_sent_nothing_more_and_is_in_no_byte_of_the_store(tmp_path: Path) -> None:
    async with sink_of(lambda: 503) as sink, process_of(write_site(tmp_path / "site", sink=sink.url)) as process:
        await process.consent(["u-other"])
        await fill_with_a_life(process)
        await until(lambda: len({a.data["user"] for a in sink.got}) == 2, "both are tried")
        assert await process.end() == 0  # so that a checkpoint holds the person, too
        assert bytes_left(process.store)
        await process.start()
        status, _ = await process.ask("DELETE", f"/v1/users/{ERASED['user']}")
        assert status == 204
        await until(lambda: sink.open == 0, "what was under way has landed")
        sink.got.clear()
        sink.status = lambda: 204
        await at_rest(process)
        assert {a.data["user"] for a in sink.got} <= {"u-other"}
        assert (await process.ask("GET", f"/v1/users/{ERASED['user']}"))[0] == 404
        assert (await process.ask("GET", f"/v1/users/{ERASED['user']}/export"))[0] == 404
        assert {p["user"] for p in await process.get("/v1/places/shinjuku/present")} <= {"u-other"}
        await until(lambda: not bytes_left(process.store), "every byte of the person is gone", 30)
        others = (await process.get("/v1/users/u-other/export"))["pings"]
        assert len(others) == 30
        assert await process.end() == 0
        assert not bytes_left(process.store)
        done = await command("replay", process.site, "--from-store", "--json")
        assert done.returncode == 0, done.stderr
