"""What a start finds: messages that wait, edits that were made meanwhile, a port that another process holds."""

from __future__ import annotations

import signal
import socket
import sqlite3
from typing import TYPE_CHECKING

import pytest

from tests.live.load import two_waiting
from tests.live.process import at_rest, command, live, process_of, until
from tests.live.reckoning import HELLO, IN, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("edited", [HELLO.replace("state: live", "state: paused"), ""], ids=["paused", "removed"])
@live()
async def test_what_waits_of_a_rule_that_was_stopped_meanwhile_is_cancelled_and_not_sent(
    tmp_path: Path, edited: str
) -> None:
    async with sink_of(lambda: 503) as sink:
        site = write_site(tmp_path / "site", sink=sink.url)
        async with process_of(site) as process:
            await two_waiting(process, sink)
            assert await process.end() == 0
            tried, sink.status = len(sink.got), lambda: 204
            (site / "rules/all.yaml").write_text(edited)
            await process.start()
            await at_rest(process)
            assert [d["outcome"] for d in await process.get("/v1/deliveries")] == ["cancelled"] * 2
            assert len(sink.got) == tried


@live()
async def test_a_start_that_cannot_listen_sends_nothing(tmp_path: Path) -> None:
    async with sink_of(lambda: 503) as sink:
        site = write_site(tmp_path / "site", sink=sink.url)
        async with process_of(site) as process:
            await process.consent(["d-1"])
            await process.post({"device": "d-1", "time": process.now_ms(), **IN})
            await until(lambda: sink.got, "it is tried")
            await process.kill()
            tried, sink.status = len(sink.got), lambda: 204
            with socket.create_server(("127.0.0.1", 0)) as held:
                done = await command("run", site, "--listen", f"127.0.0.1:{held.getsockname()[1]}")
            assert (done.returncode, len(sink.got)) == (1, tried)
            assert "cannot listen" in done.stderr
            await process.start()
            await at_rest(process)
            assert len(sink.got) == tried + 1


@live()
async def test_a_hangup_during_the_start_does_no_harm_and_an_edit_comes_into_force(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site")
    async with process_of(site) as process:
        before = process.lines("ready")[0]["version"]
        await process.kill()
        process.launch()
        await until(process.minds_hangups, "it is far enough not to be ended by a hangup", 10)
        (site / "rules/all.yaml").write_text(HELLO + "priority: 7\n")
        process.tell(signal.SIGHUP)
        if (await process.started())["version"] == before:  # it had read its files before
            [line] = await until(lambda: process.lines("site in force"), "the edit is in force", 10)
            assert line["version"] != before


@live()
async def test_after_a_start_the_metrics_say_what_there_is(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        now_ms = process.now_ms()
        await process.post(*({"device": f"d-{n}", "time": now_ms, **IN} for n in range(3)))
        await process.post({"device": "d-0", "time": now_ms + 1, **IN})
        await process.kill()
        ready = await process.start()
        assert ready["folded_frames"] >= 2
        assert await process.value("nearcast_devices") == 3
        assert await process.value("nearcast_journal_tail_rows") >= 4
        assert await process.value("nearcast_checkpoint_timestamp_seconds") == 0
        assert await process.end() == 0
        ready = await process.start()
        assert ready["folded_frames"] == 0
        assert await process.value("nearcast_devices") == 3
        assert await process.value("nearcast_journal_tail_rows") == 0
        assert await process.value("nearcast_checkpoint_timestamp_seconds") > now_ms / 1000 - 60


@live()
async def test_settings_that_are_no_yaml_leave_the_stored_version_running_wherever_its_store_is(tmp_path: Path) -> None:
    site = write_site(tmp_path / "site", settings="store: data/x.db\n")
    async with process_of(site) as process:
        version = process.lines("ready")[0]["version"]
        assert await process.end() == 0
        (site / "nearcast.yaml").write_text("store: data/x.db  # on the fast disk\nlisten: [[[\n")
        assert (await process.start())["version"] == version
        assert any(line["mistake"].startswith("nearcast.yaml:") for line in process.lines("mistake in the site"))
        assert not (site / "var/nearcast.db").exists()


@live()
async def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(tmp_path: Path) -> None:
    async with process_of(write_site(tmp_path / "site")) as process:
        for n in range(2):
            await process.post({"device": f"d-{n}", "time": process.now_ms(), **IN})
            assert await process.end() == 0
            await process.start()
        await process.kill()
        with sqlite3.connect(process.store) as connection:
            connection.execute(
                "UPDATE checkpoint_parts SET data = x'00' WHERE checkpoint = (SELECT max(id) FROM checkpoints)"
            )
        connection.close()
        await process.start()
        assert [
            line["damaged"]
            for line in process.lines("a checkpoint is damaged, an older one was taken: look at the disk")
        ] == [1]
        assert await process.value("nearcast_devices") == 2
