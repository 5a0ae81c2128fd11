"""Answers in one piece: head and body as they go over the wire, for requests that come by the thousand.

Owns which requests can be answered so, and the bytes of the head: those that aiohttp writes of a `web.Response`. It
makes them of a dictionary, field by field, anew for each answer, which costs as much as the reading of fifty pings.
Must not know what is answered.
"""

from __future__ import annotations

from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import HttpVersion11, web
from aiohttp.http import SERVER_SOFTWARE

from connectors.clock import MachineClock

if TYPE_CHECKING:
    from aiohttp.abc import AbstractStreamWriter

_now_ms: Final = MachineClock().now_ms


def is_plain(request: web.BaseRequest) -> bool:
    """Whether the answer to a request needs nothing but a status and a body: its connection stays as it is."""
    return request.keep_alive and request.version == HttpVersion11


class Whole(web.StreamResponse):
    """JSON in one piece, to a request that `is_plain` and no HEAD."""

    def __init__(self, body: bytes, status: int) -> None:
        super().__init__(status=status)
        self._json = body

    @property
    def keep_alive(self) -> bool:
        """True: other requests are not answered so."""
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        """Nothing is written before all is."""
        self._to = request.writer
        return self._to

    async def write_eof(self, data: bytes = b"") -> None:
        """Write head and body."""
        body = self._json
        await self._to.write_eof(b"%b%d\r\n%b%b" % (_begin(self.status), len(body), _end(_now_ms() // 1000), body))


@lru_cache
def _begin(status: int) -> bytes:
    """The head up to the length of the body."""
    phrase = HTTPStatus(status).phrase
    return f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: ".encode()


@lru_cache(maxsize=1)
def _end(second: int) -> bytes:
    """The end of the head, in a second since the epoch."""
    return f"Date: {formatdate(second, usegmt=True)}\r\nServer: {SERVER_SOFTWARE}\r\n\r\n".encode()
