"""`nearcast run`: one process, from start to a good end.

Owns signals, logs and what is printed to people. Must not know how the parts are wired.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

import structlog

from connectors.clock import MachineClock
from connectors.logs import configure_logs
from engine.listen import parse_listen
from engine.settings import SETTINGS_FILE
from engine.settings_file import read_settings
from geo.uncollected import collect_as_usual
from nearcast.fault import ExitCode, UsageFaultError
from nearcast.folder import fingerprint, read_folder
from nearcast.kernels import begin_kernels
from nearcast.map_file import MapFile
from nearcast.site_store import store_path

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path
    from typing import Any

    from nearcast.folder import Fingerprint
    from nearcast.replay_options import RunOptions
    from nearcast.wiring import Surroundings


#: How long a thread may keep the interpreter from another that waits for it. The commit runs beside a busy event
#: loop: with Python's 5 ms each commit waited for most of that.
SWITCH_S = 0.0005


def run(path: Path, options: RunOptions) -> int:
    """Run a site until it is told to stop. Returns the exit code."""
    files, seen = begin(path)
    settings, _ = read_settings(files.get(SETTINGS_FILE, b""))
    configure_logs(level=settings.log_level.value)
    map_file = MapFile(store_path(path, settings), warn=structlog.get_logger("nearcast.map").warning, in_pages=True)
    map_file.begin()
    kernels = begin_kernels()
    from nearcast.wiring import Surroundings  # the rest of a start is imported while these two come

    around = Surroundings(
        clock=MachineClock(),
        show=_print_line,
        colour=sys.stdout.isatty(),
        listen=listen_option(options.listen),
        kernels=kernels.result,
        seen=seen,
    )
    with contextlib.suppress(KeyboardInterrupt):
        run_loop(_serve(path, files, around, map_file))
    return ExitCode.GOOD


def begin(path: Path) -> tuple[dict[str, bytes], Fingerprint]:
    """The files of a site, and what its folder looked like before they were read.

    From here on a hangup does not end the process: what is edited during the start is noticed once it is over.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    seen = fingerprint(path)
    return read_folder(path), seen


def run_loop(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the fastest event loop that is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)


async def _serve(path: Path, files: dict[str, bytes], around: Surroundings, map_file: MapFile) -> None:
    from nearcast.wiring import start

    process = await start(path, files, around, map_file)
    collect_as_usual()
    sys.setswitchinterval(SWITCH_S)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, process.reloader.ask)
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(process.broken())]
    done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await process.stop()
    for task in done:
        task.result()


def listen_option(text: str | None) -> tuple[str, int] | None:
    """What `--listen` says; None when it was not given. Raises `UsageFaultError`."""
    if text is None:
        return None
    found = parse_listen(text)
    if found is None:
        raise UsageFaultError(f"`--listen` needs HOST:PORT, got `{text}`, write for example `127.0.0.1:8080`")
    return found


def _print_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
