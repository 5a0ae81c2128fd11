"""The webhook channel against a real server: the request byte for byte, and what each answer means."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from aiohttp import web
from standardwebhooks.webhooks import Webhook

from connectors.clock import MachineClock
from connectors.sink_webhook import RETRY_AFTER_MS_MAX, WebhookChannel, retry_after
from engine.ports import Attempt, AttemptResult
from tests.connectors.endpoint import always, hang_up, listening
from tests.connectors.making import T0, SetClock, delivery

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldY")


@asynccontextmanager
async def channel(url: str, **changes: Any) -> AsyncIterator[WebhookChannel]:
    settings: dict[str, Any] = {"secrets": SECRETS, "timeout_ms": 2_000, "concurrency": 4, "clock": SetClock()}
    made = WebhookChannel(url, **(settings | changes))
    try:
        yield made
    finally:
        await made.close()


def attempts(answer: Any, count: int = 1, **changes: Any) -> tuple[list[Attempt], Any]:
    """Attempts one after another at an endpoint, and the endpoint."""

    async def run() -> tuple[list[Attempt], Any]:
        async with listening(answer) as endpoint, channel(endpoint.url, **changes) as made:
            return [await made.attempt(delivery(), n + 1) for n in range(count)], endpoint

    return asyncio.run(run())


def test_the_request_is_a_standard_webhook() -> None:
    (attempt,), endpoint = attempts(always(204), clock=MachineClock())
    ((headers, body),) = endpoint.got
    assert attempt.result is AttemptResult.OK
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == "k-1"
    assert body == delivery().body
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in SECRETS:
        assert Webhook(secret).verify(body, headers) == orjson.loads(body)


def test_the_body_is_the_contracts_byte_for_byte() -> None:
    _, endpoint = attempts(always(200))
    assert endpoint.got[0][1].decode() == (
        '{"type":"nearcast.push","id":"k-1","time":"2026-11-25T08:00:00.005Z","data":{"rule":"timesale",'
        '"rule_version":"v1","user":"u-7","device":"d-42","channel":"push","title":"Sale","body":"Until six",'
        '"locale":"en","ttl_s":1800,"collapse_key":"timesale","place":{"id":"shinjuku","name":"Shinjuku"},'
        '"occasion":{"kind":"entered","id":"o-d-1","time":"2026-11-25T08:00:00.000Z"},"data":{"place":"Shinjuku"}}}'
    )


def test_each_attempt_is_signed_at_its_own_time_under_the_same_key() -> None:
    clock = SetClock(T0)

    async def later(_: web.Request) -> web.Response:
        clock.at_ms += 61_000
        return web.Response(status=503)

    _, endpoint = attempts(later, 2, clock=clock)
    first, second = (headers for headers, _ in endpoint.got)
    assert (first["webhook-id"], second["webhook-id"]) == ("k-1", "k-1")
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 61
    assert first["webhook-timestamp"] == str(T0 // 1000)
    assert first["webhook-signature"] != second["webhook-signature"]


def test_without_a_secret_nothing_is_signed() -> None:
    _, endpoint = attempts(always(200), secrets=())
    assert "webhook-signature" not in endpoint.got[0][0]


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (200, AttemptResult.OK),
        (201, AttemptResult.OK),
        (204, AttemptResult.OK),
        (299, AttemptResult.OK),
        (301, AttemptResult.FAIL),
        (302, AttemptResult.FAIL),
        (307, AttemptResult.FAIL),
        (400, AttemptResult.FAIL),
        (401, AttemptResult.FAIL),
        (404, AttemptResult.FAIL),
        (408, AttemptResult.RETRY),
        (410, AttemptResult.GONE),
        (413, AttemptResult.FAIL),
        (429, AttemptResult.RETRY),
        (500, AttemptResult.RETRY),
        (502, AttemptResult.UNKNOWN),
        (503, AttemptResult.RETRY),
        (504, AttemptResult.UNKNOWN),
        (599, AttemptResult.RETRY),
    ],
)
def test_every_answer_has_its_meaning(status: int, result: AttemptResult) -> None:
    (attempt,), endpoint = attempts(always(status, Location="/elsewhere"))
    assert (attempt.result, attempt.detail) == (result, f"answered {status}")
    assert len(endpoint.got) == 1


def test_the_wait_that_an_answer_asks_for_is_handed_on() -> None:
    (attempt,), _ = attempts(always(429, Retry_After="7"))
    assert attempt == Attempt(AttemptResult.RETRY, "answered 429", 7_000, T0)


@pytest.mark.parametrize(
    ("headers", "wait_ms"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "1.5"}, 1_500),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "99999999"}, RETRY_AFTER_MS_MAX),
        ({"retry-after": "1e999"}, RETRY_AFTER_MS_MAX),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 08:00:30 GMT"}, 30_000),
        ({"retry-after": "Wed, 25 Nov 2026 07:00:30 GMT"}, 0),
        ({"retry-after": "Wed, 25 Nov 9999999999999 07:00:30 GMT"}, None),
        ({"retry-after": "Wed, 25 Nov 2026 09:00:05 GMT", "date": "Wed, 25 Nov 2026 09:00:00 GMT"}, 5_000),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(headers: dict[str, str], wait_ms: int | None) -> None:
    assert retry_after(headers, T0) == wait_ms


def test_where_nobody_listens_the_message_surely_was_not_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"

    async def run() -> Attempt:
        async with channel(url) as made:
            return await made.attempt(delivery(), 1)

    attempt = asyncio.run(run())
    assert (attempt.result, attempt.handed_ms) == (AttemptResult.RETRY, None)
    assert "Connect" in attempt.detail


def test_a_connection_lost_after_the_request_leaves_the_outcome_unknown() -> None:
    (attempt,), endpoint = attempts(hang_up)
    assert (attempt.result, attempt.handed_ms) == (AttemptResult.UNKNOWN, T0)
    assert len(endpoint.got) == 1


def test_an_answer_that_does_not_come_leaves_the_outcome_unknown() -> None:
    async def never(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    (attempt,), endpoint = attempts(never, timeout_ms=50)
    assert attempt == Attempt(AttemptResult.UNKNOWN, "no answer in time", None, T0)
    assert len(endpoint.got) == 1


def test_a_connection_is_used_again() -> None:
    _, endpoint = attempts(always(200, b"thank you"), 5)
    assert len(endpoint.connections) == 1


def test_a_long_answer_is_not_read_to_its_end() -> None:
    (first, second), endpoint = attempts(always(200, bytes(10_000_000)), 2)
    assert (first.result, second.result) == (AttemptResult.OK, AttemptResult.OK)
    assert len(endpoint.connections) == 2


def test_a_body_that_drips_does_not_hold_the_answer_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"x")
        await asyncio.Event().wait()
        return response

    (attempt,), _ = attempts(drip)
    assert attempt.result is AttemptResult.OK


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_a", "whsec_\N{SNOWMAN}"])
def test_a_secret_that_is_none_is_refused_without_being_shown(secret: str) -> None:
    async def run() -> None:
        WebhookChannel("http://127.0.0.1:1/", secrets=[secret], timeout_ms=1, concurrency=1, clock=SetClock())

    with pytest.raises(ValueError, match=r"^a webhook secret is base64 after `whsec_`, make one of 24 random bytes$"):
        asyncio.run(run())
