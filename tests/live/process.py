"""`nearcast run` as a child process, and the clients that the tests need of it.

Owns starting, ending and asking; nothing of the product is imported. The process listens on any free port and says in
its log which. `until` is the one way in which tests wait.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

NEARCAST = str(Path(sys.executable).with_name("nearcast"))
#: How long a start may take on a machine that does other things too.
START_S = 150.0


async def until(check: Callable[[], Any], what: str, within_s: float = 30.0, pause_s: float = 0.02) -> Any:
    """Ask again and again until the answer is true, and return it. `check` may be a coroutine function."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while True:
        found = check()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if loop.time() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(pause_s)


def live(within_s: float = 240.0) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Run a coroutine test on a loop of its own."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**given: Any) -> None:
            async def main() -> None:
                async with asyncio.timeout(within_s):
                    await test(**given)

            asyncio.run(main())

        return run

    return decorate


def nearcast(*words: str | Path, within_s: float = START_S) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run([NEARCAST, *map(str, words)], capture_output=True, text=True, check=False, timeout=within_s)


async def command(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """The same beside a running loop."""
    return await asyncio.to_thread(nearcast, *words)


@dataclass
class Process:
    """One site's process, through all its lives. `http` follows it to the port of its present life."""

    site: Path
    url: str = ""
    http: aiohttp.ClientSession = field(init=False)
    _child: subprocess.Popen[bytes] | None = None
    _read: int = 0

    @property
    def log_file(self) -> Path:
        return self.site.with_name(self.site.name + ".log")

    @property
    def store(self) -> Path:
        return self.site / "var/nearcast.db"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def said(self, since: int | None = None) -> list[dict[str, Any]]:
        """The lines of the log, of this life unless told otherwise."""
        data = self.log_file.read_bytes()[self._read if since is None else since :]
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith(b"{")]

    def lines(self, event: str) -> list[dict[str, Any]]:
        return [line for line in self.said() if line["event"] == event]

    async def start(self) -> dict[str, Any]:
        """Start, and wait until it takes pings; returns what it said then."""
        self.launch()
        return await self.started()

    async def started(self) -> dict[str, Any]:
        """Wait until it takes pings, once it was launched."""
        ready = await until(self._ready_line, "the process says that it is ready", START_S)
        self.url = ready["listen"]
        return ready

    def launch(self) -> None:
        """Start, and wait for nothing."""
        self.log_file.touch()
        self._read = self.log_file.stat().st_size
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(
                [NEARCAST, "run", str(self.site), "--listen", "127.0.0.1:0"], stdout=log, stderr=log
            )

    def _ready_line(self) -> dict[str, Any] | None:
        lines = self.lines("ready")
        if not lines and not self.alive:
            raise AssertionError("it ended: " + self.log_file.read_text()[-2000:])
        return lines[0] if lines else None

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def tell(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(number)

    def minds_hangups(self) -> bool:
        """Whether SIGHUP no longer ends it; the test is left out where the system does not tell."""
        assert self._child is not None
        status = Path(f"/proc/{self._child.pid}/status")
        if not status.exists():
            pytest.skip("which signals a process minds is not told here: there is no /proc")
        masks = [line.split()[1] for line in status.read_text().splitlines() if line.startswith(("SigIgn", "SigCgt"))]
        return any(int(mask, 16) & 1 << signal.SIGHUP - 1 for mask in masks)

    async def ended(self, within_s: float = 30.0) -> int:
        """Wait for its end; the exit code."""
        child = self._child
        assert child is not None
        await until(lambda: child.poll() is not None, "the process ends", within_s)
        return child.wait()

    async def kill(self) -> None:
        """kill -9."""
        self.tell(signal.SIGKILL)
        await self.ended()

    async def end(self, number: signal.Signals = signal.SIGTERM, within_s: float = 30.0) -> int:
        """Tell it to end; the exit code."""
        self.tell(number)
        return await self.ended(within_s)

    @asynccontextmanager
    async def client(self, **headers: str) -> AsyncIterator[None]:
        """Be able to ask, on the running loop; with headers that each request has."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=headers) as self.http:
            yield

    # -- asking ----------------------------------------------------------------------------------------------------

    async def ask(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        """One request; the status, and the body as JSON, None when it is empty or none."""
        async with self.http.request(method, self.url + path, **how) as response:
            body = await response.read()
            kind = response.headers.get("Content-Type", "")
            return response.status, json.loads(body) if body and "json" in kind else None

    async def get(self, path: str, **how: Any) -> Any:
        """What a good GET answers."""
        status, body = await self.ask("GET", path, **how)
        assert status == 200, (status, path, body)
        return body

    async def post(self, *pings: dict[str, Any], query: str = "") -> dict[str, Any]:
        """Post pings that must be taken; the answer."""
        status, told = await self.ask("POST", "/v1/pings" + query, json=list(pings))
        assert status == 202 and not told["rejected"], (status, told)
        answer: dict[str, Any] = told
        return answer

    async def change(self, user: str, **change: Any) -> None:
        """PUT a user."""
        status, told = await self.ask("PUT", f"/v1/users/{user}", json=change)
        assert status == 204, (status, told)

    async def consent(self, users: list[str]) -> None:
        """Let users consent, through events as an app would send them."""
        now_ms = self.now_ms()
        events = [
            {"id": f"c-{user}", "user": user, "type": "user.updated", "time": now_ms,
             "data": {"consent": {"location_marketing": True}}}
            for user in users
        ]  # fmt: skip
        status, told = await self.ask("POST", "/v1/events", json=events)
        assert status == 202 and told["accepted"] == len(users), (status, told)

    async def metrics(self) -> Metrics:
        async with self.http.get(self.url + "/metrics") as response:
            assert response.status == 200
            return Metrics(await response.text())

    async def is_ready(self) -> bool:
        """What `/readyz` says."""
        return (await self.ask("GET", "/readyz"))[0] == 200

    async def value(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples."""
        return (await self.metrics()).sum(name, **labels)

    def now_ms(self) -> int:
        return int(time.time() * 1000)


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._samples = [s for family in text_string_to_metric_families(text) for s in family.samples]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the samples of that name whose labels are so; there must be some."""
        found = [s.value for s in self._samples if s.name == name and labels.items() <= s.labels.items()]
        assert found, (name, labels)
        return sum(found)

    def pings_balance(self) -> bool:
        """received = accepted + duplicate + rejected."""
        parts = ("accepted_total", "duplicate_total", "rejected_total")
        return self.sum("nearcast_pings_received_total") == sum(self.sum(f"nearcast_pings_{p}") for p in parts)


@asynccontextmanager
async def process_of(site: Path, **headers: str) -> AsyncIterator[Process]:
    """A site's process, started, and killed at the end whatever happened; each request has these headers."""
    process = Process(site)
    async with process.client(**headers):
        try:
            await process.start()
            yield process
        finally:
            if process.alive:
                await process.kill()


async def at_rest(process: Process) -> None:
    """Wait until no delivery is pending."""

    async def none_pending() -> bool:
        return await process.value("nearcast_deliveries_pending") == 0

    await until(none_pending, "no delivery is pending", 60)
