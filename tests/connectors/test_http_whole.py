"""Answers in one piece are byte for byte those that aiohttp makes, but for what it says of the connection."""

from __future__ import annotations

import json
import re
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from connectors.http_whole import Whole, _end
from tests.connectors.http_world import PING, T0, Served, over_http

EVENT = b'{"id": "e-1", "user": "u-7", "type": "purchase", "time": %d}' % T0
GOOD = json.dumps(PING).encode()
BAD = json.dumps({**PING, "lat": 91}).encode()


def asking(body: bytes, version: str = "1.1", *more: str) -> bytes:
    path = "/v1/events" if body == EVENT else "/v1/pings"
    lines = [f"POST {path} HTTP/{version}", "Host: h", f"Content-Length: {len(body)}", *more, "", ""]
    return "\r\n".join(lines).encode() + body


def undated(answer: bytes) -> bytes:
    return re.sub(rb"Date: [^\r]*", b"Date:", answer)


@pytest.mark.parametrize("body", [GOOD, BAD, b"[]", EVENT])
@over_http()
async def test_an_answer_in_one_piece_is_that_of_aiohttp(served: Served, body: bytes) -> None:
    await served.raw(asking(body, "1.1", "Connection: close"))  # the next two are repeated alike
    answer = await served.raw(asking(body, "1.1", "Connection: close"))
    both = await served.raw(asking(body) + asking(body, "1.1", "Connection: close"))
    assert undated(both) == undated(answer).replace(b"Connection: close\r\n", b"") + undated(answer)
    date = re.search(rb"\r\nDate: ([^\r]*)\r\n", both)
    assert date is not None
    parsedate_to_datetime(date[1].decode())


@over_http()
async def test_an_older_client_gets_the_answer_that_it_asked_for(served: Served) -> None:
    assert b"Connection: keep-alive\r\n" in await served.raw(
        asking(GOOD, "1.0", "Connection: keep-alive") + asking(GOOD, "1.1", "Connection: close")
    )
    assert b"Connection" not in await served.raw(asking(GOOD, "1.0"))


@over_http()
async def test_only_who_is_plain_is_answered_in_one_piece(served: Served, monkeypatch: Any) -> None:
    made = []
    init = Whole.__init__
    monkeypatch.setattr(Whole, "__init__", lambda self, *given: (made.append(given), init(self, *given))[1])
    await served.raw(asking(GOOD, "1.0"))
    assert made == []
    await served.raw(asking(GOOD) + asking(GOOD, "1.1", "Connection: close"))
    assert [status for _, status in made] == [202]


def test_the_date_is_that_of_the_second() -> None:
    assert _end(0).startswith(b"Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n")
    assert _end(1).startswith(b"Date: Thu, 01 Jan 1970 00:00:01 GMT\r\n")
