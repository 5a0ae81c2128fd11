"""The file channel: whole lines, on disk before they are reported."""

from __future__ import annotations

import asyncio
import os
import subprocess
from typing import TYPE_CHECKING

import orjson
import pytest

from connectors.sink_file import FileChannel, append
from engine.ports import Attempt, AttemptResult
from tests.connectors.making import T0, SetClock, delivery

if TYPE_CHECKING:
    from pathlib import Path


def send(path: Path, *keys: str) -> list[Attempt]:
    async def run() -> list[Attempt]:
        channel = FileChannel(path, clock=SetClock())
        done = await asyncio.gather(*(channel.attempt(delivery(key), 1) for key in keys))
        await channel.close()
        return done

    return asyncio.run(run())


def test_each_message_is_one_line_of_the_webhooks_body(tmp_path: Path) -> None:
    path = tmp_path / "var" / "sent.jsonl"
    assert send(path, "k-1", "k-2") == [Attempt(AttemptResult.OK, handed_ms=T0)] * 2
    send(path, "k-3")
    assert path.read_bytes() == b"".join(delivery(key).body + b"\n" for key in ("k-1", "k-2", "k-3"))


def test_messages_that_come_together_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs: list[int] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (syncs.append(handle), real(handle)))
    keys = [f"k-{n}" for n in range(500)]
    send(tmp_path / "sent.jsonl", *keys)
    assert [orjson.loads(line)["id"] for line in (tmp_path / "sent.jsonl").read_bytes().splitlines()] == keys
    assert len(syncs) <= 4


def test_a_half_line_left_by_a_crash_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"
    path.write_bytes(b'{"half":')
    append(path, [b'{"a":1}'])
    assert path.read_bytes() == b'{"half":\n{"a":1}\n'


def test_a_file_that_was_moved_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "sent.jsonl"

    async def run() -> None:
        channel = FileChannel(path, clock=SetClock())
        await channel.attempt(delivery("k-1"), 1)
        path.rename(tmp_path / "old.jsonl")
        await channel.attempt(delivery("k-2"), 1)
        await channel.close()

    asyncio.run(run())
    assert (tmp_path / "old.jsonl").read_bytes() == delivery("k-1").body + b"\n"
    assert path.read_bytes() == delivery("k-2").body + b"\n"


def test_what_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (attempt,) = send(tmp_path / "file" / "sent.jsonl", "k-1")
    assert attempt.result is AttemptResult.RETRY
    assert "sent.jsonl" in attempt.detail


def test_on_a_full_disk_no_half_line_stays(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("mounting a small disk is not permitted here")
    try:
        path = small / "sent.jsonl"
        append(path, [b"x" * 1000])
        with pytest.raises(OSError, match="No space"):
            append(path, [b"y" * 1000] * 100)
        assert path.read_bytes() == b"x" * 1000 + b"\n"
        append(path, [b"z"])
        assert path.read_bytes().endswith(b"x\nz\n")
    finally:
        subprocess.run(["umount", "-l", small], check=True)
