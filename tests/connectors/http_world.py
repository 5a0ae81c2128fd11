"""The HTTP interface over an intake that keeps everything in memory, served on a real socket.

The intake follows the rules of the contract for duplicates and late pings, so that answers and counts can be checked
against what is really there. What it refuses, and when it answers, tests can set.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp

from connectors.clock import ShiftedClock
from connectors.http_api import HttpServer, HttpSettings, make_app
from connectors.intake import LocatedAnswer
from connectors.metrics import Metrics
from engine.people import People
from engine.wire import UserChanged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from connectors.intake import NotNowError
    from engine.pings import Pings
    from engine.ports import DecisionQuery
    from engine.wire import Happened
    from rules.facts import User

#: Wednesday 2026-11-25, 17:00:00 in Tokyo.
T0 = 1_795_593_600_000
PING: dict[str, Any] = {"device": "d-42", "user": "u-7", "time": T0, "lat": 35.690921, "lng": 139.700258}
STATIONS = [("shinjuku", 35.690921, 139.700258), ("shibuya", 35.658034, 139.701636)]


@dataclass(slots=True)
class MemoryIntake:
    """Keeps what it is given. `refuse` is raised instead of taking; `gate` holds every answer until it is set."""

    ready: bool = True
    refuse: NotNowError | None = None
    gate: asyncio.Event | None = None
    pings: list[tuple[str, int]] = field(default_factory=list)
    newest: dict[tuple[str, str | None], int] = field(default_factory=dict)
    people: People = field(default_factory=People)
    events: list[Happened] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)
    decided: list[dict[str, Any]] = field(default_factory=list)
    sent: dict[str, str] = field(default_factory=dict)
    breaks: Exception | None = None

    async def _pass(self) -> None:
        if self.refuse is not None:
            raise self.refuse
        if self.breaks is not None:
            raise self.breaks
        if self.gate is not None:
            await self.gate.wait()

    async def located(self, pings: Pings, *, received_ms: int, wait: bool) -> LocatedAnswer:
        await self._pass()
        duplicate = 0
        beacons = [None if n < 0 else pings.strings[n] for n in pings.rows["beacon"].tolist()]
        for device, beacon, time_ms in zip(pings.devices, beacons, pings.times, strict=True):
            newest = self.newest.get((device, beacon))
            duplicate += newest == time_ms
            self.newest[device, beacon] = max(time_ms, newest or 0)
            self.pings.append((device, time_ms))
        decisions = [d for d in self.decided if d["device"] in pings.devices]
        messages = [{"key": d["key"], "channel": "push", "title": "t"} for d in decisions]
        accepted = len(pings) - duplicate
        return LocatedAnswer(accepted, duplicate, decisions if wait else None, messages if wait else None)

    async def noted(self, inputs: Sequence[Happened | UserChanged]) -> tuple[int, int]:
        await self._pass()
        duplicate = 0
        for item in inputs:
            if isinstance(item, UserChanged):
                self.people.change(item)
            elif self.people.happened(item):
                self.events.append(item)
            else:
                duplicate += 1
        return len(inputs) - duplicate, duplicate

    async def erase(self, user: str) -> None:
        await self._pass()
        self.erased.append(user)
        self.people.users.pop(user, None)

    async def user(self, user: str) -> User | None:
        found = self.people.users.get(user)
        return found if found is not None and found.known else None

    async def export(self, user: str) -> dict[str, Any] | None:
        found = self.people.users.get(user)
        return None if found is None else {"id": user, "attributes": found.attributes}

    def near(self, lat_deg: float, lng_deg: float, limit: int) -> list[dict[str, Any]]:
        by_distance = sorted(STATIONS, key=lambda s: (s[1] - lat_deg) ** 2 + (s[2] - lng_deg) ** 2)
        return [{"id": name, "lat": lat, "lng": lng} for name, lat, lng in by_distance[:limit]]

    async def present(self, place: str) -> list[dict[str, Any]] | None:
        known = {name for name, _, _ in STATIONS}
        return [{"device": device} for device, _ in self.newest] if place in known else None

    async def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        found = [d for d in self.decided if d["user"] == query.user and query.rule in (None, d["rule"])]
        return found[: query.limit]

    async def deliveries(self, outcome: str | None, limit: int) -> list[dict[str, Any]]:
        found = [{"key": key, "outcome": state} for key, state in self.sent.items() if outcome in (None, state)]
        return found[:limit]

    async def resend(self, key: str) -> bool | None:
        await self._pass()
        if key not in self.sent:
            return None
        if self.sent[key] != "failed":
            return False
        self.sent[key] = "pending"
        return True


@dataclass(slots=True)
class Served:
    """A served interface: what is behind it, and a session that knows its address."""

    intake: MemoryIntake
    metrics: Metrics
    server: HttpServer
    port: int
    http: aiohttp.ClientSession

    async def post(self, path: str, **how: Any) -> tuple[int, Any]:
        """POST; the status, and the body as JSON."""
        async with self.http.post(path, **how) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, **how: Any) -> tuple[int, Any]:
        """GET; the status, and the body as JSON."""
        async with self.http.get(path, **how) as response:
            return response.status, await response.json(content_type=None)

    def count(self, name: str, **labels: str) -> float:
        """The value of one metric."""
        value = self.metrics.registry.get_sample_value(name, labels)
        assert value is not None, (name, labels)
        return value

    async def raw(self, *parts: bytes, pause_s: float = 0.0) -> bytes:
        """Send bytes as they are over a connection of its own, and read until it is closed."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
                if pause_s:
                    await asyncio.wait([asyncio.create_task(reader.read(0))], timeout=pause_s)
            return await asyncio.wait_for(reader.read(), 20)
        finally:
            writer.close()


@asynccontextmanager
async def serving(settings: HttpSettings | None = None) -> AsyncIterator[Served]:
    """Serve for as long as the context lasts, on any free port."""
    intake, metrics = MemoryIntake(), Metrics()
    server = HttpServer(make_app(intake, settings or HttpSettings(), metrics, ShiftedClock(T0)))
    await server.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{server.port}") as session:
            yield Served(intake, metrics, server, server.port, session)
    finally:
        await server.stop()


def over_http(
    settings: HttpSettings | None = None,
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Run a coroutine test with a served interface as its first argument."""

    def decorate(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**given: Any) -> None:
            async def main() -> None:
                async with asyncio.timeout(60), serving(settings) as served:
                    await test(served, **given)

            asyncio.run(main())

        asked = inspect.signature(test)
        run.__signature__ = asked.replace(parameters=list(asked.parameters.values())[1:])  # type: ignore[attr-defined]
        return run

    return decorate
