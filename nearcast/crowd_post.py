"""The crowd's posts: what its phones send goes over real HTTP, each phone's in its own order.

Owns requests and patience: what cannot be taken now (429, 503, nobody there) is posted again, as an app does. Must not
know who simulates the crowd, or why.
"""

from __future__ import annotations

import asyncio
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from connectors.clock import Clock
    from nearcast.crowd import Crowd

#: The crowd posts what is due this often, in requests of at most so many pings.
TICK_S: Final = 0.1
POST_MAX: Final = 50
#: So many requests at a time; a phone's are one after the other.
STREAMS: Final = 16
_AGAIN_S: Final = 0.5
_AGAIN: Final = (429, 503)


@dataclass(slots=True)
class CrowdPoster:
    """Posts what a crowd sends to `base`, as its phones do. `posted` hears how many pings each step had.

    `key` is a bearer key that may post pings, events and users.
    """

    crowd: Crowd
    base: str
    clock: Clock
    posted: Callable[[int], None]
    key: str | None = None
    #: Why the latest request had no answer; None where it had one.
    unanswered: str | None = None

    async def walk(self) -> None:
        """Tell who is there, then post until it is cancelled. Raises `aiohttp.ClientResponseError` when refused."""
        headers = {"content-type": "application/json"}
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        connector = aiohttp.TCPConnector(limit=2 * STREAMS)
        async with aiohttp.ClientSession(self.base, connector=connector, headers=headers) as session:
            users = self.crowd.users()
            await asyncio.gather(*(self._users(session, users[n::STREAMS]) for n in range(STREAMS)))
            while True:
                batch = self.crowd.step(self.clock.now_ms())
                sent = [*batch.pings, *batch.sightings]
                posts = [self._stream(session, "/v1/pings", part) for part in _streams(sent, "device")]
                posts += [self._stream(session, "/v1/events", part) for part in _streams(batch.events, "user")]
                await asyncio.gather(*posts)
                self.posted(len(sent))
                await asyncio.sleep(TICK_S)

    async def _users(self, session: aiohttp.ClientSession, users: Sequence[dict[str, Any]]) -> None:
        for user in users:
            body = {name: value for name, value in user.items() if name != "id"}
            await self._taken(session, "PUT", f"/v1/users/{user['id']}", body)

    async def _stream(self, session: aiohttp.ClientSession, route: str, items: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(items), POST_MAX):
            await self._taken(session, "POST", route, items[start : start + POST_MAX])

    async def _taken(self, session: aiohttp.ClientSession, method: str, route: str, body: Any) -> None:
        """One request, again and again until it is taken."""
        data = orjson.dumps(body)
        while True:
            wait_s = _AGAIN_S
            try:
                async with session.request(method, route, data=data) as answer:
                    self.unanswered = None
                    if answer.status not in _AGAIN:
                        if answer.status != 422:  # none of them is good: they will not be at the next try either
                            answer.raise_for_status()
                        return
                    wait_s = float(answer.headers.get("retry-after", _AGAIN_S))
            except aiohttp.ClientConnectionError as error:
                self.unanswered = str(error) or type(error).__name__
            await asyncio.sleep(wait_s)


def _streams(items: Sequence[dict[str, Any]], name: str) -> Iterator[list[dict[str, Any]]]:
    """The items in streams, those of one device or user in one stream and in their order."""
    streams: list[list[dict[str, Any]]] = [[] for _ in range(min(STREAMS, len(items) // POST_MAX + 1))]
    for item in items:
        streams[zlib.crc32(item[name].encode()) % len(streams)].append(item)
    return (stream for stream in streams if stream)
