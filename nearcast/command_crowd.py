"""`nearcast crowd`: the demo's crowd, posting to a site that runs elsewhere, at the machine's own time.

Owns how long it posts and what it tells. For trying a deployment; what is posted is as real as a phone's.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import aiohttp
import typer

from connectors.clock import MachineClock
from nearcast.crowd import Crowd
from nearcast.crowd_post import CrowdPoster
from nearcast.fault import ExitCode, InputFaultError, UsageFaultError
from nearcast.folder import read_folder
from nearcast.run import run_loop
from nearcast.town import town_of

if TYPE_CHECKING:
    from pathlib import Path

#: A line of figures this often.
TOLD_S = 10.0


@dataclass(frozen=True, slots=True)
class CrowdOptions:
    """Where a crowd posts, under which key, how many they are, their seed, and after how many seconds it ends."""

    to: str
    key: str | None = None
    crowd: int = 2_000
    seed: int = 1
    seconds: float | None = None


def post_crowd(site: Path, options: CrowdOptions) -> int:
    """Post until Ctrl-C, SIGTERM or `options.seconds`. Returns the exit code.

    Raises `UsageFaultError` for what is no URL, `InputFaultError` where nobody answered, or the posts are refused.
    """
    if not _is_base(options.to):
        raise UsageFaultError(f"`--to` needs a URL such as `http://127.0.0.1:8080`, got `{options.to}`")
    clock = MachineClock()
    try:
        town = town_of(read_folder(site))
    except KeyError as error:
        raise InputFaultError(f"the crowd cannot walk in `{site}`: {error.args[0]}, take examples/tokyo") from error
    crowd = Crowd(options.seed, town=town, start_ms=clock.now_ms(), people=options.crowd)
    with contextlib.suppress(KeyboardInterrupt):
        run_loop(_post(crowd, options, clock))
    return ExitCode.GOOD


async def _post(crowd: Crowd, options: CrowdOptions, clock: MachineClock) -> None:
    count = 0

    def posted(pings: int) -> None:
        nonlocal count
        count += pings

    poster = CrowdPoster(crowd, options.to, clock, posted, options.key)
    walking = asyncio.create_task(poster.walk())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, walking.cancel)
    ends_s = None if options.seconds is None else clock.monotonic_s() + options.seconds
    while ends_s is None or clock.monotonic_s() < ends_s:
        left_s = TOLD_S if ends_s is None else min(TOLD_S, ends_s - clock.monotonic_s())
        done, _ = await asyncio.wait([walking], timeout=max(0.0, left_s))
        again = "" if poster.unanswered is None else f", now nobody answers at {options.to}: it is tried again"
        typer.echo(f"{count:,} pings taken{again}")
        if done:
            break
    walking.cancel()
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await walking
    except aiohttp.ClientResponseError as error:
        mend = "give an admin key with `--key`" if error.status in (401, 403) else "is it a site of nearcast?"
        raise InputFaultError(f"`{options.to}` refuses the crowd: {error.status} {error.message}, {mend}") from error
    if poster.unanswered is not None and not count:
        raise InputFaultError(f"nobody answers at `{options.to}`: {poster.unanswered}, start the site or mend `--to`")


def _is_base(url: str) -> bool:
    """Whether paths can be put behind a URL.

    >>> _is_base("https://example.org/"), _is_base("localhost:8080"), _is_base("http://127.0.0.1:80800")
    (True, False, False)
    """
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
        )
    except ValueError:  # a port that is none
        return False
