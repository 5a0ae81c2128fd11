"""One POST after another over connections that are kept: what the webhook channel hands messages over with.

Owns connections: making, keeping and dropping them, and whether a request that got no answer had been written.
Parsing is httptools'. Must not know what is posted or what an answer means. A general client costs four times the
processor; at thousands of messages a second that decides whether pings wait.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

import httptools

if TYPE_CHECKING:
    from collections.abc import Callable

#: Of an answer's body so much is read, so that the connection can be used again; its content means nothing.
ANSWER_BYTES_MAX: Final = 64 * 1024
#: And no longer than this once its head is there: the status has said all.
ANSWER_S_MAX: Final = 0.25
#: Idle connections are let go before servers do it (many after 5 s): a request written into a closing one is lost.
KEEP_ALIVE_S: Final = 4.0


@dataclass(slots=True)
class Answer:
    """The head of an answer; names of headers are in lower case."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)


class PostError(Exception):
    """There was no answer. `written`: the request had been written, so that it may have arrived."""

    def __init__(self, detail: str, *, written: bool) -> None:
        super().__init__(detail)
        self.written = written


class Poster:
    """Posts to one URL. At most `keep` idle connections are kept. Raises `ValueError` for a URL that is none."""

    def __init__(self, url: str, *, timeout_s: float, keep: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a webhook's url begins with http:// or https:// and names a host, got `{url}`")
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._ssl else 80)
        self._timeout_s = timeout_s
        self._keep = keep
        self._idle: list[_Connection] = []
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {target} HTTP/1.1", f"host: {parts.netloc.rpartition('@')[2]}", "user-agent: nearcast"]
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            lines.append(f"authorization: Basic {b64encode(pair.encode()).decode()}")
        self._head = "\r\n".join([*lines, "content-type: application/json", ""])

    async def post(self, headers: dict[str, str], body: bytes, wrote: Callable[[], None]) -> Answer:
        """Post once. `wrote` is called when the request has been written. Raises `PostError`."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = f"{self._head}{lines}content-length: {len(body)}\r\n\r\n".encode() + body
        connection: _Connection | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = self._from_idle() or await self._connect()
                answer = connection.ask(request)
                wrote()
                return await answer
        except TimeoutError as error:
            raise PostError("no answer in time", written=connection is not None) from error
        except OSError as error:
            detail = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise PostError(detail, written=connection is not None) from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        """Close the idle connections; those in use close when they are given back."""
        self._keep = 0
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _from_idle(self) -> _Connection | None:
        now_s = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and now_s - connection.since_s < KEEP_ALIVE_S:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, self._host, self._port, ssl=self._ssl)
        return connection

    def _give_back(self, connection: _Connection) -> None:
        if connection.usable and len(self._idle) < self._keep:
            connection.since_s = asyncio.get_running_loop().time()
            self._idle.append(connection)
        else:
            connection.close()


class _Connection(asyncio.Protocol):
    """One connection, one request at a time. `usable` while another request may be written into it."""

    def __init__(self) -> None:
        self.usable = False
        self.since_s = 0.0
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._waiting: asyncio.Future[Answer] | None = None
        self._headers: dict[str, str] = {}
        self._answer: Answer | None = None
        self._read = 0
        self._cut: asyncio.TimerHandle | None = None

    def ask(self, request: bytes) -> asyncio.Future[Answer]:
        """Write a request; the future gets the head of its answer, or `ConnectionError`."""
        self._parser = httptools.HttpResponseParser(self)
        self._waiting = asyncio.get_running_loop().create_future()
        self._answer, self._headers, self._read = None, {}, 0
        self.usable = False
        if self._transport is not None:
            self._transport.write(request)
        return self._waiting

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        self.usable = False
        if self._cut is not None:
            self._cut.cancel()
        if self._transport is not None:
            self._transport.abort()

    # -- of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It stands."""
        self._transport = transport  # type: ignore[assignment] # a stream's is a Transport
        self.usable = True

    def data_received(self, data: bytes) -> None:
        """A piece of an answer, or of what nobody asked for."""
        waiting = self._waiting
        if self._parser is None or waiting is None or waiting.done():
            self.close()
            return
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("the other side wants another protocol")
        except httptools.HttpParserError as error:
            self._fail(f"the answer is no HTTP: {error}")
        if self._read > ANSWER_BYTES_MAX and not waiting.done():
            self._done(reuse=False) if self._answer is not None else self._fail("the answer's head is too long")

    def eof_received(self) -> bool:
        """The other side has said all."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone. An answer without a stated length ends so."""
        self.usable = False
        if self._waiting is None or self._waiting.done():
            return
        if self._answer is not None:
            self._done(reuse=False)
        else:
            self._fail(str(error) if error is not None else "the connection was closed without an answer")

    # -- of the parser

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """The head is there: the rest is read only to keep the connection, and not for long."""
        status = self._parser.get_status_code() if self._parser is not None else 0
        if status >= 200:
            self._answer = Answer(status, self._headers)
            self._cut = asyncio.get_running_loop().call_later(ANSWER_S_MAX, self._done_late)

    def on_message_complete(self) -> None:
        """The whole answer is there. What comes before it (1xx) has no body and means nothing."""
        if self._answer is None:
            self._headers = {}
            return
        self._done(reuse=self._parser is not None and self._parser.should_keep_alive())

    # -- ends

    def _done_late(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._done(reuse=False)

    def _done(self, *, reuse: bool) -> None:
        if self._cut is not None:
            self._cut.cancel()
            self._cut = None
        if self._waiting is not None and self._answer is not None and not self._waiting.done():
            self._waiting.set_result(self._answer)
            self.usable = reuse and self._transport is not None and not self._transport.is_closing()

    def _fail(self, detail: str) -> None:
        self.usable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionError(detail))
