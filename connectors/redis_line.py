"""One connection to a Redis, on which many ask at a time: a turn's calls are written together, answers come in order.

Owns the connection: making it, and that all who wait are told when it breaks. Must not know what is asked. A pipeline
of the general client costs five to ten times the processor, most of it on its way through Python word by word.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

#: A Redis that does not answer for so long is away.
ANSWER_S: Final = 5.0
CONNECT_S: Final = 2.0

Call = tuple[Any, ...]


class RedisLine:
    """A connection that is made when it is needed, and anew after it broke. Lives on one event loop."""

    def __init__(self, url: str, *, answer_s: float = ANSWER_S, tls: ssl.SSLContext | None = None) -> None:
        self._answer_s = answer_s
        kind = parse_url(url)
        self._host, self._port, self._path = kind.get("host", "localhost"), kind.get("port", 6379), kind.get("path")
        self._ssl = tls
        if kind.pop("connection_class", None) is SSLConnection and tls is None:
            self._ssl = SSLConnection(**kind).ssl_context.get()
        login = [word for name in ("username", "password") if (word := kind.get(name)) is not None]
        self._first: list[Call] = [("AUTH", *login)] if login else []
        if kind.get("db"):
            self._first.append(("SELECT", kind["db"]))
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def ask(self, calls: Sequence[Call]) -> list[Any]:
        """Ask all of this in one go; an answer that is an error is among the answers, as `hiredis.ReplyError`.

        Raises `OSError` when the connection breaks or cannot be made, `TimeoutError` when no answer comes.
        """
        connection = self._connection
        if connection is None or connection.broken:
            connection = await self._connected()
        return await self._answers(connection, calls)

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.end(ConnectionError("closed"))

    async def _connected(self) -> _Connection:
        async with self._connecting:
            if self._connection is not None and not self._connection.broken:
                return self._connection  # somebody else had it made meanwhile
            loop = asyncio.get_running_loop()
            async with asyncio.timeout(CONNECT_S):
                if self._path is not None:
                    _, made = await loop.create_unix_connection(_Connection, self._path)
                else:
                    _, made = await loop.create_connection(_Connection, self._host, self._port, ssl=self._ssl)
            try:
                for answer in await self._answers(made, self._first) if self._first else ():
                    if isinstance(answer, hiredis.ReplyError):
                        raise ConnectionError(f"redis refused the connection: {answer}")
            except BaseException as error:
                made.end(error)
                raise
            self._connection = made
            return made

    async def _answers(self, connection: _Connection, calls: Sequence[Call]) -> list[Any]:
        try:
            async with asyncio.timeout(self._answer_s):
                return await connection.ask(calls)
        except TimeoutError as error:
            connection.end(error)
            raise


@dataclass(slots=True)
class _Asked:
    """A pipeline that was written: how many answers it wants, and those that came."""

    wants: int
    done: asyncio.Future[list[Any]]
    got: list[Any] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One connection, until it breaks."""

    def __init__(self) -> None:
        self.broken = False
        self._reader = hiredis.Reader()
        self._asked: deque[_Asked] = deque()
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def ask(self, calls: Sequence[Call]) -> asyncio.Future[list[Any]]:
        """Have calls written; the future gets their answers, or why the connection broke."""
        asked = _Asked(len(calls), asyncio.get_running_loop().create_future())
        if self.broken or self._transport is None:
            asked.done.set_exception(ConnectionError("the connection is broken"))
            return asked.done
        if not self._unsent:
            asked.done.get_loop().call_soon(self._send)
        self._unsent.extend(map(hiredis.pack_command, calls))
        self._asked.append(asked)
        return asked.done

    def _send(self) -> None:
        """Write what was asked in this turn of the loop: a write is a call of the system, dearer than what it says."""
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and not self.broken:
            self._transport.write(b"".join(unsent))

    def end(self, error: BaseException) -> None:
        """Drop the connection; all who wait are told why."""
        self.broken = True
        if self._transport is not None:
            self._transport.abort()
        why = error if isinstance(error, OSError) else ConnectionError(f"{type(error).__name__}: {error}")
        while self._asked:
            done = self._asked.popleft().done
            if not done.done():
                done.set_exception(why)

    # -- of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answers came, or parts of them."""
        try:
            self._reader.feed(data)
            while self._asked:
                asked = self._asked[0]
                while len(asked.got) < asked.wants:
                    found = self._reader.gets()
                    if found is False:
                        return
                    asked.got.append(found)
                self._asked.popleft()
                if not asked.done.done():  # else nobody waits for it any more
                    asked.done.set_result(asked.got)
        except hiredis.HiredisError as error:
            self.end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.end(exc or ConnectionError("the connection was closed by redis"))
