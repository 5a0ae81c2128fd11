"""What a decision may look at: the occasion, and what is known of the user. And what comes out: the decision.

Owns the values that pass between the engine and the rules. Must not know where users are kept.
All instants are epoch milliseconds, UTC. What is made anew for each occasion is a struct: it costs a tenth of a frozen
dataclass, and the collector need not look at it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rules.place import Place


class Kind(StrEnum):
    """What an occasion is. An event's occasion has kind `event`; its type stands in `Occasion.event_type`."""

    ENTERED = "entered"
    DWELLED = "dwelled"
    EXITED = "exited"
    CROSSED = "crossed"
    EVENT = "event"
    TIMER = "timer"


class Outcome(StrEnum):
    """What a decision says."""

    SEND = "send"
    SUPPRESS = "suppress"


class Reason(StrEnum):
    """Why. A decision has exactly one: the first that applies, in this order."""

    STALE = "stale"
    LOW_ACCURACY = "low_accuracy"
    MOCKED = "mocked"
    WINDOW = "window"
    AUDIENCE = "audience"
    CONSENT = "consent"
    UNKNOWN = "unknown"
    COOLDOWN = "cooldown"
    CAP = "cap"
    QUIET_HOURS = "quiet_hours"
    NOT_TEST_USER = "not_test_user"
    SENT = "sent"


class Occasion(msgspec.Struct, frozen=True, gc=False):
    """What may make a rule act: a transition, an event, a timer's instant.

    `id` is the transition's id, h(user, event id) or h(user, instant). `time_ms` is when it happened. `accuracy_m`
    and `mocked` are those of the device's newest fix up to then (None: unknown; no fix); an event's occasion has no
    device, nor has a timer's of who is in no place that it looks at. `dwell_ms` is the `for` of a dwelled one. `cause`
    is the transition's (`fix timer silent edited sighting`), else "". A timer's occasion belongs to one trigger of one
    rule: `timer_rule` and `timer_index` (the trigger's place in the rule's list) name it.
    """

    kind: Kind
    id: str
    time_ms: int
    user: str
    device: str | None = None
    place: Place | None = None
    cause: str = ""
    dwell_ms: int | None = None
    accuracy_m: float | None = None
    mocked: bool = False
    event_type: str | None = None
    event_id: str | None = None
    data: Mapping[str, Any] = {}
    timer_rule: str | None = None
    timer_index: int = 0

    @property
    def kind_name(self) -> str:
        """The kind as it is written out: a transition's kind, `timer`, or the event's type."""
        return self.event_type if self.kind is Kind.EVENT and self.event_type else self.kind.value


@dataclass(frozen=True, slots=True)
class Send:
    """One reservation of a user's limits: made at the decision, released when nothing of it was handed over."""

    key: str
    rule: str
    tags: tuple[str, ...]
    place: str | None
    time_ms: int
    test: bool = False


#: Why a rule does not send: the reason, the path of the clause, and what was looked at.
Refusal = tuple[Reason, str, dict[str, Any]]


@dataclass(slots=True)
class User:
    """What is known of one person. Changed by the engine alone, in the order of the journal.

    `consent` maps a purpose to given (True) or refused (False); no record is not given. `events` are (time_ms, type),
    `visits` (time_ms, place id) of entered transitions, `sends` the limits' reservations: each in order of time.
    `inside` maps a place id to [number of the user's devices in it, time_ms entered last]. `known` is False until
    somebody wrote something about the user (a PUT or a `user.updated`): a device's ping alone leaves it so.
    """

    id: str
    known: bool = False
    attributes: dict[str, Any] = field(default_factory=dict)
    consent: dict[str, bool] = field(default_factory=dict)
    locale: str | None = None
    timezone: str | None = None
    tokens: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[int, str]] = field(default_factory=list)
    visits: list[tuple[int, str]] = field(default_factory=list)
    sends: list[Send] = field(default_factory=list)
    inside: dict[str, list[int]] = field(default_factory=dict)


class Message(msgspec.Struct, frozen=True, gc=False):
    """One rendered message of a `send` decision: the n-th action of its rule, on one channel."""

    index: int
    channel: str
    title: str
    body: str
    locale: str
    ttl_ms: int
    collapse_key: str | None = None
    data: Mapping[str, Any] = {}
    at_most_once: bool = False


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The outcome of one rule for one user on one occasion, with its single reason.

    `clause` is the path of the first clause that failed (`audience.all[1].attribute`) or None; `values` holds what
    was looked at; `messages` is empty unless the outcome is `send`. `time_ms` is the time of the decision.
    """

    key: str
    rule: str
    rule_version: str
    user: str
    occasion: Occasion
    outcome: Outcome
    reason: Reason
    time_ms: int
    clause: str | None = None
    values: Mapping[str, Any] = {}
    messages: tuple[Message, ...] = ()
    test: bool = False
