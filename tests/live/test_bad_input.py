"""Hostile and broken input over the wire: the real process lives, tells, keeps nothing of it, and serves the others."""

from __future__ import annotations

import asyncio
import functools
import gzip
import io
import json
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.process import Process, live, until
from tests.live.reckoning import IN, kept, write_site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

KEYS = "keys: {ingest: [ingest-key-of-the-test], admin: [admin-key-of-the-test]}\n"
ADMIN = {"Authorization": "Bearer admin-key-of-the-test"}
INGEST = {"Authorization": "Bearer ingest-key-of-the-test"}
JSON = {"Content-Type": "application/json"}
#: Nobody else may wait longer than this while bad things come in: generous, since machines of tests are slow.
OTHERS_S = 3.0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """One process for all; what was answered 2xx is what it kept, and it ends well."""
    process = Process(write_site(tmp_path_factory.mktemp("bad") / "site", settings=KEYS))
    try:
        asyncio.run(process.start())
        yield process
        assert process.alive
        assert asyncio.run(process.end()) == 0
        assert {device for device, _ in kept(process.store)} <= {"good"}
        faults = [line for line in process.said(0) if line["level"] in ("error", "critical")]
        assert not faults
        assert "Traceback" not in process.log_file.read_text()
    finally:
        if process.alive:
            asyncio.run(process.kill())


def good_ping() -> dict[str, Any]:
    """A ping that must be taken."""
    return {"device": "good", "time": time.time_ns() // 1_000_000, **IN}


def against(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test with an admin's client; afterwards a good ping is taken at once and the counts balance."""

    @functools.wraps(test)
    @live()
    async def run(running: Process, **given: Any) -> None:
        async with running.client(**ADMIN):
            before = (await running.metrics()).sum("nearcast_pings_received_total")
            await test(running, **given)
            async with asyncio.timeout(OTHERS_S):
                await running.post(good_ping())
            metrics = await running.metrics()
            assert metrics.pings_balance()
            assert metrics.sum("nearcast_pings_received_total") > before
            assert metrics.sum("nearcast_requests_total", code="500") == 0

    return run


PINGS = [
    ('"lat": NaN, "lng": 1', "not_finite"),
    ('"lat": 1, "lng": -Infinity', "not_finite"),
    ('"lat": 1e400, "lng": 1', "not_finite"),
    ('"lat": 91, "lng": 1', "out_of_range"),
    ('"lat": 1, "lng": 181', "out_of_range"),
    ('"lat": "35.6", "lng": 1', "wrong_type"),
    ('"lat": 1, "lng": true', "wrong_type"),
    ('"lat": null, "lng": 1', "missing_field"),
    ('"lat": 1, "lng": 1, "time": "2026-11-25T17:00:00"', "wrong_type"),
    ('"lat": 1, "lng": 1, "time": "9999-12-31T23:59:59Z"', "in_future"),
    ('"lat": 1, "lng": 1, "time": 1e400', "not_finite"),
    ('"lat": 1, "lng": 1, "time": 99999999999999999999999999', "in_future"),
    ('"lat": 1, "lng": 1, "time": TWO_MINUTES_AHEAD', "in_future"),
    ('"lat": 1, "lng": 1, "time": true', "wrong_type"),
    ('"lat": 1, "lng": 1, "device": 7', "wrong_type"),
    ('"lat": 1, "lng": 1, "device": ""', "out_of_range"),
    ('"lat": 1', "missing_field"),
]


@pytest.mark.parametrize(("fields", "reason"), PINGS)
@against
async def test_a_bad_ping_is_told_and_harms_no_neighbour(running: Process, fields: str, reason: str) -> None:
    now_ms = running.now_ms()
    fields = fields.replace("TWO_MINUTES_AHEAD", str(now_ms + 120_000))
    rest = [f'"{k}": {v}' for k, v in (("device", '"bad"'), ("time", now_ms)) if f'"{k}"' not in fields]
    bad = "{" + ", ".join([*rest, fields]) + "}"
    status, told = await running.ask("POST", "/v1/pings", data=bad.encode(), headers=JSON)
    assert status == 422 and [r["reason"] for r in told["rejected"]] == [reason], told
    both = f"[{bad}, {json.dumps(good_ping())}]".encode()
    status, told = await running.ask("POST", "/v1/pings", data=both, headers=JSON)
    assert status == 202 and told["accepted"] == 1, told
    assert [(r["index"], r["reason"]) for r in told["rejected"]] == [(0, reason)]


def many(count: int, text: str = "{}") -> bytes:
    return b"[" + b",".join([text.encode()] * count) + b"]"


BODIES: list[tuple[str, bytes, dict[str, str], set[int]]] = [
    ("an empty body", b"", JSON, {400}),
    ("no JSON", b"lat=1&lng=2", JSON, {400}),
    ("half of it", json.dumps([{"device": "bad", "time": 1}])[:-5].encode(), JSON, {400}),
    ("2 MiB", b" " * (2 << 20), JSON, {413}),
    ("2 MiB of an id", b'{"device": "' + b"x" * (2 << 20) + b'"}', JSON, {413}),
    ("a gzip bomb", gzip.compress(b"0" * (256 << 20), 1), JSON | {"Content-Encoding": "gzip"}, {413}),
    ("a broken gzip", gzip.compress(b"[]")[:-3], JSON | {"Content-Encoding": "gzip"}, {400}),
    ("another packing", b"[]", JSON | {"Content-Encoding": "br"}, {415}),
    ("100,000 pings", many(100_000), JSON, {413}),
    ("100,000 pings, packed", gzip.compress(many(100_000)), JSON | {"Content-Encoding": "gzip"}, {413}),
    ("invalid UTF-8", b'[{"device": "\xff\xfe", "time": 1, "lat": 1, "lng": 1}]', JSON, {400}),
    ("a lone surrogate", b'[{"device": "\\ud800", "time": 1, "lat": 1, "lng": 1}]', JSON, {400, 422}),
    ("nested arrays", b"[" * 100_000, JSON, {400}),
    ("closed nested arrays", b"[" * 100_000 + b"]" * 100_000, JSON, {400, 422}),
    ("nested objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, JSON, {400, 422}),
    ("a type that is none of ours", b"[]", {"Content-Type": "application/xml"}, {415}),
    ("lines that are no JSON", b"a\nb\n", {"Content-Type": "application/x-ndjson"}, {422}),
    ("a long number", b"[" + b"9" * 900_000 + b"]", JSON, {400, 422}),
    ("a word", b'"ping"', JSON, {400, 422}),
]


@pytest.mark.parametrize(("body", "headers", "expected"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
@against
async def test_a_bad_body_is_refused_and_holds_up_nobody(
    running: Process, body: bytes, headers: dict[str, str], expected: set[int]
) -> None:
    bad = [
        asyncio.create_task(running.ask("POST", "/v1/pings", data=io.BytesIO(body), headers=headers)) for _ in range(4)
    ]
    async with asyncio.timeout(OTHERS_S):
        await running.post(good_ping())
    statuses = {status for status, _ in await asyncio.gather(*bad)}
    assert statuses <= expected


@against
async def test_a_batch_over_the_limit_is_refused_whole(running: Process) -> None:
    ping = json.dumps({"device": "bad", "time": running.now_ms(), "lat": 1, "lng": 1})
    assert (await running.ask("POST", "/v1/pings", data=many(10_001, ping), headers=JSON))[0] == 413
    assert (await running.ask("POST", "/v1/pings", data=many(10_000, "7"), headers=JSON))[0] == 422


@against
async def test_keys_are_asked_for_and_an_ingest_key_opens_no_more_than_ingest(running: Process) -> None:
    for headers, path, expected in (
        ({"Authorization": ""}, "/v1/pings", {401}),
        ({"Authorization": "Bearer no-key-of-the-test"}, "/v1/pings", {401, 403}),
        ({"Authorization": "Basic aW5nZXN0"}, "/v1/pings", {401}),
        ({"Authorization": "Bearer \xe9"}, "/v1/pings", {401, 403}),
        (INGEST, "/v1/deliveries/x/resend", {403}),
    ):
        ping = [{"device": "bad", "time": running.now_ms(), **IN}]
        assert (await running.ask("POST", path, json=ping, headers=headers))[0] in expected, (headers, path)
    for method, path in (("DELETE", "/v1/users/u"), ("GET", "/v1/users/u/export"), ("GET", "/v1/deliveries")):
        assert (await running.ask(method, path, headers=INGEST))[0] == 403
        assert (await running.ask(method, path, headers={"Authorization": ""}))[0] == 401
    assert (await running.ask("POST", "/v1/pings", json=[good_ping()], headers=INGEST))[0] == 202
    assert (await running.ask("GET", "/healthz", headers={"Authorization": ""}))[0] == 200


async def dripping(running: Process, count: int) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connections that announced a body and send a byte of it now and then."""
    lines = ("POST /v1/pings HTTP/1.1", "Host: h", f"Authorization: {ADMIN['Authorization']}", "Content-Length: 9000")
    head = "\r\n".join([*lines, "", "["])
    open_ones = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(count)]
    for _, writer in open_ones:
        writer.write(head.encode())
        await writer.drain()
    return open_ones


@against
async def test_slow_clients_hold_up_nobody(running: Process) -> None:
    slow = await dripping(running, 100)

    async def all_are_being_read() -> bool:
        return await running.value("nearcast_requests_in_flight") >= 100

    await until(all_are_being_read, "the slow bodies are being read")
    for _ in range(3):
        for _, writer in slow:
            writer.write(b" ")
        async with asyncio.timeout(OTHERS_S):
            await running.post(good_ping())
    for _, writer in slow:
        writer.close()

    async def none_is() -> bool:
        return await running.value("nearcast_requests_in_flight") == 0

    await until(none_is, "broken off bodies are forgotten")


@pytest.mark.long
@against
async def test_a_client_that_sends_a_byte_a_second_is_cut_off(running: Process) -> None:
    [(reader, writer)] = await dripping(running, 1)

    async def drip() -> None:
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(1)

    task = asyncio.create_task(drip())
    try:
        answer = await asyncio.wait_for(reader.read(), 45)
        assert answer.startswith(b"HTTP/1.1 408 ")
    finally:
        task.cancel()
        writer.close()


@against
async def test_500_idle_connections_hold_up_nobody(running: Process) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", running.port) for _ in range(500)]
    async with asyncio.timeout(OTHERS_S):
        await running.post(good_ping())
    for _, writer in idle:
        writer.close()


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET\r\n\r\n", b"\x00" * 70_000, b"A" * 70_000, b"\r\n"]
)
@against
async def test_what_is_no_http_is_closed(running: Process, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(sent)
    with suppress(OSError):  # it may have been closed already
        writer.write_eof()
    answer = await asyncio.wait_for(reader.read(), 10)
    assert not answer or answer.startswith(b"HTTP/1.1 400 ") or answer.startswith(b"HTTP/1.0 400 ")
    writer.close()
