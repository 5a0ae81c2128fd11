"""The console channel: one line for people."""

from __future__ import annotations

import asyncio

import msgspec

from connectors.sink_console import ConsoleChannel, console_line
from engine.outward import delivery_body
from engine.ports import Attempt, AttemptResult
from rules.facts import Kind, Occasion
from tests.connectors.making import T0, SetClock, decision, delivery, message


def test_a_message_is_shown_with_who_what_and_where() -> None:
    shown: list[str] = []
    channel = ConsoleChannel(shown.append, clock=SetClock(), colour=False)
    assert asyncio.run(channel.attempt(delivery(), 1)) == Attempt(AttemptResult.OK, handed_ms=T0)
    assert shown == ["08:00:00 push → u-7 at Shinjuku: Sale · Until six (entered, timesale)"]


def test_colours_change_nothing_but_the_colours() -> None:
    line = console_line(delivery().body, colour=True)
    assert "\x1b[36mu-7\x1b[0m" in line
    plain = line
    for code in ("\x1b[1m", "\x1b[36m", "\x1b[32m", "\x1b[2m", "\x1b[0m"):
        plain = plain.replace(code, "")
    assert plain == console_line(delivery().body, colour=False)


def test_without_a_place_there_is_no_where() -> None:
    bought = decision(occasion=Occasion(Kind.EVENT, "o", T0, "u-7", event_type="purchase"))
    assert console_line(delivery_body("k", bought, message()), colour=False) == (
        "08:00:00 push → u-7: Sale · Until six (purchase, timesale)"
    )


def test_a_text_cannot_steer_the_terminal() -> None:
    wicked = msgspec.structs.replace(message(), title="a\x1b[2Jb\nc", body="\x9b31m\u2028d")
    line = console_line(delivery_body("k", decision(), wicked), colour=False)
    assert line == "08:00:00 push → u-7 at Shinjuku: a [2Jb c ·  31m d (entered, timesale)"
