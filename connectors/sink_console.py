"""The console channel: one line for people for each message.

Owns the line: who, what, where. Must not know the terminal: a callback shows it.
"""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

import orjson

from engine.outward import one_line
from engine.ports import Attempt, AttemptResult

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.clock import Clock
    from engine.ports import Delivery

#: Attempts at a time.
CONCURRENCY = 16
_BOLD, _CYAN, _GREEN, _DIM, _PLAIN = "\x1b[1m", "\x1b[36m", "\x1b[32m", "\x1b[2m", "\x1b[0m"


class ConsoleChannel:
    """Hands each message's line to `show`, with the terminal's colours if `colour` says so, its time in `zone`."""

    def __init__(self, show: Callable[[str], None], *, clock: Clock, colour: bool, zone: tzinfo = UTC) -> None:
        self._show = show
        self._zone = zone
        self._clock = clock
        self._colour = colour

    async def attempt(self, delivery: Delivery, number: int) -> Attempt:
        """Show the message."""
        self._show(console_line(delivery.body, colour=self._colour, zone=self._zone))
        return Attempt(AttemptResult.OK, handed_ms=self._clock.exact_ms())

    async def close(self) -> None:
        """Nothing to let go of."""


def console_line(body: bytes, *, colour: bool, zone: tzinfo = UTC) -> str:
    """One line: the time, who, where, what, and why. What could steer a terminal is taken out.

    >>> body = b'{"time":"2026-11-25T08:00:00.120Z","data":{"rule":"r","user":"u-7","channel":"push","title":"Sale",'
    >>> body += b'"body":"Until six","place":{"id":"shinjuku","name":"Shinjuku"},"occasion":{"kind":"entered"}}}'
    >>> console_line(body, colour=False)
    '08:00:00 push → u-7 at Shinjuku: Sale · Until six (entered, r)'
    """
    whole = orjson.loads(body)
    data = whole["data"]
    place = data["place"]
    moment = datetime.fromisoformat(whole["time"]).astimezone(zone)
    where = "" if place is None else f" at {_paint(place['name'] or place['id'], _GREEN, colour)}"
    words = " · ".join(text for text in (_paint(data["title"], _BOLD, colour), one_line(data["body"])) if text)
    why = _paint(f"({data['occasion']['kind']}, {data['rule']})", _DIM, colour)
    return (
        f"{_paint(moment.strftime('%H:%M:%S'), _DIM, colour)} {one_line(data['channel'])} → "
        f"{_paint(data['user'], _CYAN, colour)}{where}: {words} {why}"
    )


def _paint(text: str, code: str, colour: bool) -> str:
    clean = one_line(text)
    return f"{code}{clean}{_PLAIN}" if colour and clean else clean
