"""A receiver of webhooks that remembers every attempt, checks every signature, and answers as it is told."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_RAW = b"a secret of thirty-two bytes, ok?"
SECRET = "whsec_" + base64.b64encode(_RAW).decode()


@dataclass(frozen=True)
class Arrival:
    """One attempt: when it came by the loop's clock, and what it was answered."""

    key: str
    body: bytes
    at_s: float
    status: int

    @property
    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(self.body)["data"]
        return data


@dataclass
class Sink:
    """`status` is asked for each attempt's answer; `hold`, when it is there, is waited for first."""

    status: Callable[[], int] = lambda: 204
    hold: asyncio.Event | None = None
    got: list[Arrival] = field(default_factory=list)
    forged: int = 0
    open: int = 0
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.open += 1
        try:
            at_s = asyncio.get_running_loop().time()
            body, key = await request.read(), request.headers["webhook-id"]
            signed = f"{key}.{request.headers['webhook-timestamp']}.".encode() + body
            signature = "v1," + base64.b64encode(hmac.new(_RAW, signed, hashlib.sha256).digest()).decode()
            self.forged += signature not in request.headers["webhook-signature"].split()
            if self.hold is not None:
                await self.hold.wait()
            status = self.status()
            self.got.append(Arrival(key, body, at_s, status))
            return web.Response(status=status)
        finally:
            self.open -= 1

    @property
    def taken(self) -> list[Arrival]:
        """The attempts that were answered 2xx."""
        return [a for a in self.got if a.status < 300]

    @property
    def keys(self) -> set[str]:
        """The keys that were taken."""
        return {a.key for a in self.taken}


@asynccontextmanager
async def sink_of(status: Callable[[], int] = lambda: 204) -> AsyncIterator[Sink]:
    """A sink on a free port."""
    sink = Sink(status)
    app = web.Application()
    app.router.add_post("/push", sink.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}/push"
    try:
        yield sink
    finally:
        await runner.cleanup()
