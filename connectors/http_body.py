"""Bodies of requests: read as they come, unpacked, never more of them than the limits allow.

Owns the limits of size, of time and of memory, and which encodings and types are taken. Must not know what a body
means. A body is held in memory once; what is over a limit is not read to its end.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import Final

from aiohttp import web

from connectors.http_answers import RefusedRequest, come_again

NDJSON: Final = frozenset(
    {"application/x-ndjson", "application/ndjson", "application/x-jsonlines", "application/jsonl"}
)
#: What is read as JSON. The last three are what common clients send when nobody told them otherwise.
_JSON: Final = frozenset(
    {"application/json", "application/octet-stream", "text/plain", "application/x-www-form-urlencoded"}
)
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class Load:
    """The bytes of bodies that are in memory now. Beyond `bytes_max`, new ones are asked to come again.

    What counts is what has arrived, not what was announced: announcing costs nothing.
    """

    __slots__ = ("_bytes_max", "bytes", "requests")

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self.bytes = 0
        self.requests = 0

    def open(self) -> Held:
        """A new request's share of it, empty yet. Raises `RefusedRequest` 429 when there is no room."""
        if self.bytes >= self._bytes_max:
            raise self.full()
        self.requests += 1
        return Held(self)

    def full(self) -> RefusedRequest:
        """The refusal when there is no room."""
        refused = come_again(429, "too many bodies are being worked on", 1)
        refused.close = True
        return refused

    def add(self, n: int) -> None:
        """So many more bytes are held. Raises `RefusedRequest` 429 when there is no room for them."""
        if self.bytes + n > self._bytes_max:
            raise self.full()
        self.bytes += n

    def close(self, n: int) -> None:
        """A request is done, and with it so many bytes."""
        self.requests -= 1
        self.bytes -= n


class Held:
    """What one request holds of the load: a context that gives it back."""

    __slots__ = ("_load", "_size")

    def __init__(self, load: Load) -> None:
        self._load = load
        self._size = 0

    def add(self, n: int) -> None:
        """The request holds so many more bytes. Raises `RefusedRequest` 429."""
        self._load.add(n)
        self._size += n

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self._load.close(self._size)


def is_ndjson(request: web.Request) -> bool:
    """Whether the body is one of lines. Raises `RefusedRequest` 415 for types that are surely neither."""
    sent = request.headers.get("Content-Type")
    if sent is None:
        return False
    kind = sent.partition(";")[0].strip().lower()
    if kind in NDJSON:
        return True
    if kind in _JSON:
        return False
    detail = f"the content type `{kind[:60]}` is not taken, send `application/json` or `application/x-ndjson`"
    raise RefusedRequest(415, detail, close=True)


async def read_body(request: web.Request, held: Held, *, size_max: int, within_s: float) -> bytes:
    """The unpacked body of a request. Raises `RefusedRequest`.

    408: it did not arrive within `within_s` seconds. 413: it is, packed or not, larger than `size_max` bytes. 415: it
    is packed otherwise than by gzip. 400: the packing is broken, or the connection was.
    """
    packed = _is_gzip(request)
    announced = request.content_length
    if announced is not None and announced > size_max:
        raise _too_large(size_max)
    content = request.content
    taker = Gunzip(held, size_max) if packed else Plain(held, size_max)
    if content.is_eof():  # it came with the headers, as small ones do
        taker.feed(content.read_nowait(-1))
        return taker.end()
    try:
        async with asyncio.timeout(within_s):
            while not content.at_eof():
                taker.feed(await content.readany())
    except TimeoutError as error:
        raise RefusedRequest(408, f"the body did not arrive within {within_s:g} s", close=True) from error
    except (web.RequestPayloadError, ConnectionError) as error:
        raise RefusedRequest(400, "the body broke off or was framed wrongly", close=True) from error
    return taker.end()


def _is_gzip(request: web.Request) -> bool:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in ("identity", ""):
        return False
    if encoding in ("gzip", "x-gzip"):
        return True
    detail = f"the content encoding `{encoding[:60]}` is not taken, send `gzip` or nothing"
    raise RefusedRequest(415, detail, headers={"Accept-Encoding": "gzip"}, close=True)


def _too_large(size_max: int) -> RefusedRequest:
    return RefusedRequest(413, f"the body is larger than {size_max} bytes, send several requests", close=True)


class Plain:
    """Gathers a body that is not packed."""

    __slots__ = ("_held", "_parts", "_size", "_size_max")

    def __init__(self, held: Held, size_max: int) -> None:
        self._held = held
        self._size_max = size_max
        self._size = 0
        self._parts: list[bytes] = []

    def feed(self, part: bytes) -> None:
        """Take the next part. Raises `RefusedRequest` 413, 429."""
        self._size += len(part)
        if self._size > self._size_max:
            raise _too_large(self._size_max)
        self._held.add(len(part))
        self._parts.append(part)

    def end(self) -> bytes:
        """The whole."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


class Gunzip:
    """Unpacks a gzipped body as it comes. A bomb is seen when it has grown to the limit, not when it has burst."""

    __slots__ = ("_packed", "_plain", "_size_max", "_unpack")

    def __init__(self, held: Held, size_max: int) -> None:
        self._plain = Plain(held, size_max)
        self._size_max = size_max
        self._packed = 0
        self._unpack = zlib.decompressobj(wbits=_GZIP_WINDOW)

    def feed(self, part: bytes) -> None:
        """Take the next packed part. Raises `RefusedRequest` 400, 413, 429."""
        self._packed += len(part)
        if self._packed > self._size_max:
            raise _too_large(self._size_max)
        try:
            # one byte more than is allowed tells that there is more, whatever else the part unpacks to
            self._plain.feed(self._unpack.decompress(part, self._size_max + 1))
        except zlib.error as error:
            raise RefusedRequest(400, "the body is no gzip, or broken", close=True) from error
        if self._unpack.unused_data:
            raise RefusedRequest(400, "something follows the gzip in the body, send one member", close=True)

    def end(self) -> bytes:
        """The whole, unpacked. Raises `RefusedRequest` 400 when the end is missing."""
        if not self._unpack.eof:
            raise RefusedRequest(400, "the gzip breaks off before its end")
        return self._plain.end()
