"""The crowd's posts over HTTP: each phone keeps its order, and what cannot be taken comes again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import socket
from collections import defaultdict
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from connectors.clock import ShiftedClock
from nearcast.crowd import Crowd
from nearcast.crowd_post import CrowdPoster
from nearcast.demo import SITE, START_MS
from nearcast.folder import read_folder
from nearcast.town import town_of
from tests.live.process import command, live, process_of
from tests.nearcast.command import Came

if TYPE_CHECKING:
    from pathlib import Path

    from tests.nearcast.command import Command


def crowd(people: int) -> Crowd:
    return Crowd(5, town=town_of(read_folder(SITE)), start_ms=START_MS, people=people)


class Server:
    """Takes every third request; the others are told to come again, by 503 and by 429."""

    def __init__(self) -> None:
        self.asked = 0
        self.users: dict[str, dict[str, Any]] = {}
        self.pings: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    async def handle(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.keys.add(request.headers.get("authorization", ""))
        self.asked += 1
        if self.asked % 3:
            return web.Response(status=(503, 429)[self.asked % 3 - 1], headers={"retry-after": "0"})
        if request.method == "PUT":
            self.users[request.match_info["tail"].rpartition("/")[2]] = body
            return web.Response(status=204)
        if request.path == "/v1/pings":
            self.pings += body
        return web.json_response({"accepted": len(body), "duplicate": 0, "rejected": []}, status=202)


@live()
async def test_what_cannot_be_taken_now_comes_again_and_each_phone_keeps_its_order() -> None:
    server = Server()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    taken, enough = 0, asyncio.Event()

    def posted(pings: int) -> None:
        nonlocal taken
        taken += pings
        if taken > 300:
            enough.set()

    poster = CrowdPoster(crowd(60), base, ShiftedClock(START_MS, rate=30.0), posted, key="k")
    walking = asyncio.create_task(poster.walk())
    try:
        async with asyncio.timeout(60):
            await enough.wait()
    finally:
        walking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await walking
        await runner.cleanup()
    assert server.keys == {"Bearer k"}
    assert server.users == {u["id"]: {k: v for k, v in u.items() if k != "id"} for u in crowd(60).users()}
    assert len(server.pings) >= taken
    whole = crowd(60).step(START_MS + 3_600_000)
    came, due = by_device(server.pings), by_device([*whole.pings, *whole.sightings])
    assert len(came) > 60
    assert all(each == due[name][: len(each)] for name, each in came.items())


def by_device(pings: list[dict[str, Any]]) -> dict[tuple[str, bool], list[dict[str, Any]]]:
    """What each phone sent, in order: where it is, and apart from it what it heard."""
    found = defaultdict(list)
    for ping in pings:
        found[ping["device"], "beacon" in ping].append(ping)
    return found


@live()
async def test_the_crowd_command_posts_to_a_site_that_runs(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(SITE, site, ignore=shutil.ignore_patterns("var"))
    async with process_of(site) as process:
        done = await command("crowd", site, "--to", process.url, "--crowd", "40", "--seconds", "6")
        assert done.returncode == 0, done.stderr
        metrics = await process.metrics()
        taken = metrics.sum("nearcast_pings_accepted_total")
        assert taken >= 40 and metrics.sum("nearcast_pings_rejected_total") == 0
        assert "pings taken" in done.stdout
        status, told = await process.ask("GET", "/v1/users/u-00007")
        assert status == 200 and told["tokens"] == {"push": "demo-u-00007"}


def test_where_nobody_answers_the_crowd_command_says_so(nearcast: Command) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        to = f"http://127.0.0.1:{taken.getsockname()[1]}"
    came = nearcast("crowd", SITE, "--to", to, "--crowd", "5", "--seconds", "1")
    assert (came.code, came.out) == (1, f"0 pings taken, now nobody answers at {to}: it is tried again\n")
    assert came.err.startswith(f"nobody answers at `{to}`: Cannot connect to host ")
    assert came.err.endswith(", start the site or mend `--to`\n")


@pytest.mark.parametrize("to", ["foo", "127.0.0.1:8080", "ftp://example.org", "http://h:99999", "http://h/api"])
def test_what_is_no_url_is_a_bad_command_line(nearcast: Command, to: str) -> None:
    came = nearcast("crowd", SITE, "--to", to)
    assert came == Came(2, "", f"`--to` needs a URL such as `http://127.0.0.1:8080`, got `{to}`\n")


@live()
async def test_a_site_that_refuses_the_crowd_is_named_with_the_mend() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.Response(status=401)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    to = f"http://127.0.0.1:{runner.addresses[0][1]}"
    done = await command("crowd", SITE, "--to", to, "--crowd", "5", "--seconds", "5")
    await runner.cleanup()
    told = f"`{to}` refuses the crowd: 401 Unauthorized, give an admin key with `--key`\n"
    assert (done.returncode, done.stderr) == (1, told)


@live()
async def test_a_site_that_the_crowd_cannot_walk_in_is_told(tmp_path: Path) -> None:
    done = await command("crowd", tmp_path)
    assert done.returncode == 1
    [line] = done.stderr.strip().splitlines()
    assert "the crowd cannot walk" in line and "examples/tokyo" in line
