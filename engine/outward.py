"""How decisions and messages are written out: lines of the API, of `--decisions`, and what a webhook receives.

Owns those JSON shapes and the order of their keys, and what of a text is fit for a terminal. Must not know who reads
them. Instants go out as RFC 3339.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import orjson

from engine.ids import instant

if TYPE_CHECKING:
    from engine.ports import Delivery
    from engine.told import Transition
    from rules.facts import Decision, Message, Occasion, User


def to_json(value: Any) -> bytes:
    """JSON on one line. Sets become sorted lists, NaN becomes null, what JSON does not know becomes text.

    >>> to_json({"tags": frozenset({"b", "a"})})
    b'{"tags":["a","b"]}'
    """
    return orjson.dumps(value, default=_plain)


def one_line(text: str) -> str:
    """A text of somebody else's as it may stand in a terminal: what controls it, or begins a line, is a space.

    >>> one_line("red \\x1b[31m\\nsecond")
    'red  [31m second'
    """
    return "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text)


def decision_line(decision: Decision) -> dict[str, Any]:
    """A decision as the API and `--decisions` give it."""
    occasion = decision.occasion
    return {
        "key": decision.key,
        "rule": decision.rule,
        "rule_version": decision.rule_version,
        "user": decision.user,
        "device": occasion.device,
        "place": None if occasion.place is None else occasion.place.id,
        "occasion": _occasion(occasion),
        "outcome": decision.outcome.value,
        "reason": decision.reason.value,
        "clause": decision.clause,
        "values": decision.values,
        "time": instant(decision.time_ms),
    }


def user_lines(user: User, after_ms: int) -> dict[str, Any]:
    """What is known of a user, as their export has it; of events and visits, those after `after_ms`: they are kept."""
    return {
        "attributes": user.attributes, "consent": user.consent, "locale": user.locale,
        "timezone": user.timezone, "tokens": user.tokens,
        "events": [{"time": instant(t), "type": kind} for t, kind in user.events if t > after_ms],
        "visits": [{"time": instant(t), "place": place} for t, place in user.visits if t > after_ms],
        "inside": sorted(user.inside),
        "sends": [{"key": s.key, "rule": s.rule, "time": instant(s.time_ms)} for s in user.sends],
    }  # fmt: skip


def message_line(key: str, message: Message) -> dict[str, Any]:
    """A message as an app in the foreground gets it in the answer to `?wait`. `key` is the delivery's."""
    return {
        "key": key,
        "channel": message.channel,
        "title": message.title,
        "body": message.body,
        "data": message.data,
        "ttl_s": message.ttl_ms // 1000,
        "collapse_key": message.collapse_key,
    }


def delivery_body(key: str, decision: Decision, message: Message) -> bytes:
    """What is handed over: the body of the webhook, and the line in a file. `key` is the delivery's."""
    occasion = decision.occasion
    place = occasion.place
    return to_json(
        {
            "type": "nearcast.push",
            "id": key,
            "time": instant(decision.time_ms),
            "data": {
                "rule": decision.rule,
                "rule_version": decision.rule_version,
                "user": decision.user,
                "device": occasion.device,
                "channel": message.channel,
                "title": message.title,
                "body": message.body,
                "locale": message.locale,
                "ttl_s": message.ttl_ms // 1000,
                "collapse_key": message.collapse_key,
                "place": None if place is None else {"id": place.id, "name": place.name},
                "occasion": _occasion(occasion),
                "data": message.data,
            },
        }
    )


def delivery_line(found: Delivery) -> dict[str, Any]:
    """A delivery as the API lists it."""
    return {
        "key": found.key,
        "decision": found.decision,
        "rule": found.rule,
        "user": found.user,
        "channel": found.channel,
        "outcome": found.state.value,
        "created": instant(found.created_ms),
        "expires": instant(found.expires_ms),
        "ended": None if found.ended_ms is None else instant(found.ended_ms),
        "attempts": found.attempts,
        "detail": found.detail,
    }


def ttl_most_ms(body: bytes) -> int:
    """How long a stored delivery's message may be of use, from its body, which has whole seconds of it."""
    return int(orjson.loads(body)["data"]["ttl_s"]) * 1000 + 999


def message_of(body: bytes) -> dict[str, Any]:
    """The line of `message_line`, taken from a stored delivery's body. Raises `ValueError` when it is none of ours."""
    whole = orjson.loads(body)
    data = whole["data"]
    return {
        "key": whole["id"],
        **{name: data[name] for name in ("channel", "title", "body", "data", "ttl_s", "collapse_key")},
    }


def transition_line(told: Transition) -> dict[str, Any]:
    """A transition as `--transitions` gives it."""
    return {
        "id": told.id,
        "episode": told.episode or None,
        "device": told.device,
        "user": told.user,
        "place": told.place.id,
        "kind": told.kind,
        "time": instant(told.time_ms),
        "cause": told.cause,
    }


def _occasion(occasion: Occasion) -> dict[str, Any]:
    return {"kind": occasion.kind_name, "id": occasion.id, "time": instant(occasion.time_ms)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return sorted(value) if isinstance(value, Set) else str(value)
