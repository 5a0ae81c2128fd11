"""Bodies as hostile or broken clients send them: no harm to memory, to time, or to others."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import resource
import socket
import zlib
from typing import TYPE_CHECKING

import pytest

from connectors.http_api import HttpSettings
from engine.settings import PingLimits
from tests.connectors.http_world import PING, Served, over_http

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BODY = json.dumps([PING]).encode()
GZIP = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
SMALL = HttpSettings(ping=PingLimits(max_body_bytes=10_000))


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /v1/pings HTTP/1.1", "Host: h", *lines, "", ""]).encode()


def rss_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# -- gzip ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
@over_http()
async def test_a_gzipped_body_is_unpacked(served: Served, encoding: str) -> None:
    status, told = await served.post("/v1/pings", data=gzip.compress(BODY), headers={"Content-Encoding": encoding})
    assert (status, told["accepted"]) == (202, 1)


@over_http()
async def test_a_gzipped_body_that_comes_in_pieces_is_unpacked(served: Served) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for byte in gzip.compress(BODY):
            yield bytes([byte])

    assert (await served.post("/v1/pings", data=pieces(), headers=GZIP))[0] == 202


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(BODY)[:-1],
        gzip.compress(BODY)[:-9],
        gzip.compress(BODY)[:5],
        gzip.compress(b"[") + gzip.compress(b"]"),
        gzip.compress(BODY) + b"x",
        BODY,
        b"",
        zlib.compress(BODY),
        gzip.compress(BODY).replace(gzip.compress(BODY)[-8:-4], b"abcd"),
    ],
)
@over_http()
async def test_a_broken_gzip_is_400(served: Served, body: bytes) -> None:
    assert (await served.post("/v1/pings", data=body, headers=GZIP))[0] == 400
    assert served.intake.pings == []


@over_http(SMALL)
async def test_the_limit_is_on_the_unpacked_size(served: Served) -> None:
    exact = BODY + b" " * (10_000 - len(BODY))
    assert (await served.post("/v1/pings", data=gzip.compress(exact), headers=GZIP))[0] == 202
    assert (await served.post("/v1/pings", data=gzip.compress(exact + b" "), headers=GZIP))[0] == 413
    assert (await served.post("/v1/pings", data=exact))[0] == 202
    assert (await served.post("/v1/pings", data=exact + b" "))[0] == 413


@over_http()
async def test_a_bomb_costs_no_memory(served: Served) -> None:
    bomb = gzip.compress(b"[" + b" " * (1 << 28), 9)
    assert len(bomb) < 1 << 20
    before = rss_kib()
    assert (await served.post("/v1/pings", data=bomb, headers=GZIP))[0] == 413
    assert rss_kib() - before < 32 << 10


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "compress"])
@over_http()
async def test_other_encodings_are_415(served: Served, encoding: str) -> None:
    async with served.http.post("/v1/pings", data=BODY, headers={"Content-Encoding": encoding}) as response:
        assert (response.status, response.headers["Accept-Encoding"]) == (415, "gzip")


# -- types ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "text/plain", "application/octet-stream"]
)
@over_http()
async def test_what_common_clients_say_of_json_is_taken(served: Served, kind: str) -> None:
    assert (await served.post("/v1/pings", data=BODY, headers={"Content-Type": kind}))[0] == 202


@over_http()
async def test_no_content_type_at_all_is_json(served: Served) -> None:
    answer = await served.raw(head(f"Content-Length: {len(BODY)}", "Connection: close") + BODY)
    assert answer.startswith(b"HTTP/1.1 202")


@pytest.mark.parametrize(
    "kind", ["application/cloudevents+json", "multipart/form-data; boundary=x", "application/xml", "?"]
)
@over_http()
async def test_other_types_are_415(served: Served, kind: str) -> None:
    status, told = await served.post("/v1/pings", data=BODY, headers={"Content-Type": kind})
    assert (status, told["error"]) == (415, "unsupported_media_type")


# -- size ----------------------------------------------------------------------------------------------------------


@over_http(SMALL)
async def test_an_announced_size_above_the_limit_is_413_at_once(served: Served) -> None:
    answer = await served.raw(head("Content-Length: 1000000000"))
    assert answer.startswith(b"HTTP/1.1 413") and b"Connection: close" in answer


@over_http()
async def test_an_endless_body_in_chunks_is_413_and_is_not_read_to_its_end(served: Served) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 1 << 30:
            sent += 1 << 16
            yield b" " * (1 << 16)

    before = rss_kib()
    try:
        status: int | None = (await served.post("/v1/pings", data=endless()))[0]
    except OSError:  # the connection was closed while we wrote
        status = None
    assert status in (413, None) and sent < 1 << 29
    assert rss_kib() - before < 32 << 10
    assert served.count("nearcast_requests_total", route="/v1/pings", code="413") == 1


@over_http(HttpSettings(bodies_max_bytes=50_000))
async def test_more_bodies_at_a_time_than_memory_is_for_are_429(served: Served) -> None:
    body = BODY + b" " * 20_000
    served.intake.gate = asyncio.Event()
    first = [asyncio.create_task(served.post("/v1/pings", data=body)) for _ in range(2)]
    while len(served.intake.pings) < 2 and served.count("nearcast_requests_in_flight") < 2:
        await served.get("/healthz")
    async with served.http.post("/v1/pings", data=body) as response:
        assert response.status == 429 and response.headers["Retry-After"] == "1"
    served.intake.gate.set()
    assert [status for status, _ in await asyncio.gather(*first)] == [202, 202]
    assert (await served.post("/v1/pings", data=body))[0] == 202


# -- time ----------------------------------------------------------------------------------------------------------


@over_http(HttpSettings(body_within_s=0.4))
async def test_a_client_that_sends_a_byte_at_a_time_is_cut_and_harms_no_others(served: Served) -> None:
    async def slow() -> bytes:
        return await served.raw(head(f"Content-Length: {len(BODY)}"), *[b" "] * 8, pause_s=0.1)

    slow_ones = [asyncio.create_task(slow()) for _ in range(20)]
    for _ in range(20):
        assert (await served.post("/v1/pings", data=BODY))[0] == 202
    answers = await asyncio.gather(*slow_ones)
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in answers)


@over_http(HttpSettings(idle_s=0.3))
async def test_a_connection_that_sends_half_a_header_is_closed(served: Served) -> None:
    assert await served.raw(b"POST /v1/pings HTTP/1.1\r\nHost: h\r\n") == b""


@over_http()
async def test_five_hundred_idle_connections_are_harmless(served: Served) -> None:
    idle = []
    try:
        for _ in range(500):
            one = socket.create_connection(("127.0.0.1", served.port))
            idle.append(one)
            if len(idle) % 50 == 0:  # let the server accept
                assert (await served.get("/healthz"))[0] == 200
        assert (await served.post("/v1/pings", data=BODY))[0] == 202
    finally:
        for one in idle:
            one.close()


# -- broken framing ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"POST /v1/pings HTTP/9.9\r\n\r\n",
        head("Content-Length: -1"),
        head("Content-Length: 1", "Content-Length: 2"),
        head("Content-Length: 5", "Transfer-Encoding: chunked"),
        head("X: " + "x" * 10_000),
        head(*[f"X-{i}: 1" for i in range(500)]),
        b"POST /" + b"v" * 10_000 + b" HTTP/1.1\r\n\r\n",
        head("Bad\x00Header: 1"),
    ],
)
@over_http()
async def test_a_request_that_is_no_http_is_400_and_the_server_lives(served: Served, request_bytes: bytes) -> None:
    answer = await served.raw(request_bytes)
    assert answer.split(b" ")[1] in (b"400", b"431")
    assert served.count("nearcast_requests_total", route="other", code="400") == 1
    assert (await served.post("/v1/pings", data=BODY))[0] == 202


@over_http()
async def test_a_body_framed_wrongly_is_400_and_kept_nowhere(served: Served) -> None:
    answer = await served.raw(head("Transfer-Encoding: chunked") + b"zz\r\n" + BODY)
    assert re.match(rb"HTTP/1\.\d 400", answer)
    assert served.intake.pings == []


@over_http()
async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(served: Served) -> None:
    for _ in range(5):
        _, writer = await asyncio.open_connection("127.0.0.1", served.port)
        writer.write(head("Content-Length: 1000") + BODY[:20])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    while served.count("nearcast_requests_in_flight") > 0:
        await served.get("/healthz")
    assert served.intake.pings == []


@over_http()
async def test_requests_in_a_row_over_one_connection_are_answered_in_order(served: Served) -> None:
    good = head(f"Content-Length: {len(BODY)}") + BODY
    bad = head("Content-Length: 1") + b"{"
    last = head(f"Content-Length: {len(BODY)}", "Connection: close") + BODY
    answer = await served.raw(good + bad + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answer) == [b"202", b"400", b"202"]
