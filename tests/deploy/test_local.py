"""`make cluster`: everything is up, the crowd's pings are taken, and Ctrl-C leaves nothing running, nothing behind."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cluster.servers import need_servers
from tests.deploy.watching import ROOT
from tests.live.process import START_S, live, until

if TYPE_CHECKING:
    from collections.abc import Iterator


def running(folder: str) -> list[str]:
    """The processes of this machine that are called with a folder, or work in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            called = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if folder in called or (process / "cwd").readlink().as_posix().startswith(folder):
                found.append(called)
    return found


@pytest.fixture
def begun(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """`make cluster` with a crowd of its own size, its output in a file; its folders are in `tmp_path`."""
    need_servers()
    out = tmp_path / "out"
    command = [sys.executable, "-m", "deploy.local", "--port", "0", "--crowd", "300"]
    with out.open("wb") as stream:
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=stream, stderr=stream, env=os.environ | {"TMPDIR": str(tmp_path)}
        )
    try:
        yield child, out
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait(60)


@live()
async def test_it_shows_messages_and_ends_all_that_it_began(begun: tuple[subprocess.Popen[bytes], Path]) -> None:
    child, out = begun
    await until(lambda: child.poll() is not None or "Ctrl-C ends" in out.read_text(), "all is up", START_S)
    assert child.poll() is None, out.read_text()
    folder = re.findall(r"logs: (\S+)/\*\.log", out.read_text())[0]
    assert len(running(folder)) == 7, running(folder)
    taken = Path(folder) / "crowd.log"
    await until(lambda: re.search(r"[1-9][0-9,]* pings taken", taken.read_text()), "the crowd's pings are taken", 60)
    child.send_signal(signal.SIGINT)
    await until(lambda: child.poll() is not None, "it ends", 90)
    assert child.returncode == 0, out.read_text()
    assert not running(folder), "it left something running"
    assert not Path(folder).exists(), "it left its folder behind"
