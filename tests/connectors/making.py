"""Values for the tests of the store, the channels and the dispatcher: decisions, deliveries, frames, commits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from engine.outward import delivery_body
from engine.ports import AttemptResult, Commit, Delivery, DeliveryState, Ending
from engine.wire import COLUMNS, NONE, Input, Located, encode_frame
from rules.facts import Decision, Kind, Message, Occasion, Outcome, Reason
from rules.place import Place, PlaceKind

if TYPE_CHECKING:
    from collections.abc import Sequence

#: 2026-11-25, a Wednesday, 08:00 UTC.
T0 = 1_795_593_600_000
DAY_MS = 86_400_000


class SetClock:
    """A clock that stands until it is moved."""

    def __init__(self, now_ms: int = T0) -> None:
        self.at_ms = now_ms

    def exact_ms(self) -> float:
        return float(self.now_ms())

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic_s(self) -> float:
        return self.at_ms / 1000


def decision(key: str = "d-1", user: str = "u-7", **changes: Any) -> Decision:
    """A decision to send one push on entering Shinjuku."""
    made = Decision(
        key=key,
        rule="timesale",
        rule_version="v1",
        user=user,
        occasion=Occasion(
            Kind.ENTERED, f"o-{key}", T0, user, "d-42", Place("shinjuku", PlaceKind.FENCE, name="Shinjuku")
        ),
        outcome=Outcome.SEND,
        reason=Reason.SENT,
        time_ms=T0 + 5,
        values={"tier": "gold"},
        messages=(message(),),
    )
    return msgspec.structs.replace(made, **changes)


def message(channel: str = "push") -> Message:
    return Message(0, channel, "Sale", "Until six", "en", 1_800_000, "timesale", {"place": "Shinjuku"})


def delivery(key: str = "k-1", user: str = "u-7", channel: str = "push", **changes: Any) -> Delivery:
    """A delivery of the decision `d-1`, created at T0, with half an hour to live."""
    body = delivery_body(key, decision(user=user), message(channel))
    made = Delivery(key, "d-1", "timesale", user, channel, body, T0, T0 + 1_800_000, tags=("promo",), place="shinjuku")
    return replace(made, **changes)


def ended(key: str, state: DeliveryState = DeliveryState.DELIVERED, at_ms: int = T0 + 50) -> Ending:
    return Ending(key, state, at_ms, 1, "answered 200")


def commit(seq: int, *inputs: Input, now_ms: int | None = None, **effects: Any) -> Commit:
    """A commit of these inputs at T0 + seq."""
    at_ms = T0 + seq if now_ms is None else now_ms
    return Commit(seq, at_ms, encode_frame(at_ms, inputs), **effects)


def located(rows: Sequence[tuple[str, str | None, str | None]], borders: list[int] | None = None) -> Located:
    """Rows of (device, user, beacon), a second apart from T0; a row with a beacon is a sighting."""
    strings = sorted({text for row in rows for text in row if text is not None})
    number = {text: n for n, text in enumerate(strings)} | {None: NONE}
    here = [np.nan if row[2] else 35.5 + n for n, row in enumerate(rows)]
    columns: dict[str, Any] = {
        "device": [number[row[0]] for row in rows],
        "user": [number[row[1]] for row in rows],
        "beacon": [number[row[2]] for row in rows],
        "time": [T0 + 1000 * n for n in range(len(rows))],
        "lat": here,
        "lng": [value + 100 for value in here],
        "accuracy": [np.nan if row[2] else 12.0 for row in rows],
        "speed": [np.nan] * len(rows),
        "heading": [np.nan] * len(rows),
        "rssi": [-67.0 if row[2] else np.nan for row in rows],
        "mocked": [0] * len(rows),
    }
    packed = {name: np.array(values, COLUMNS[name]).tobytes() for name, values in columns.items()}
    return Located(strings=strings, borders=[len(rows)] if borders is None else borders, **packed)


class Tally:
    """Delivery metrics that remember what they were told."""

    def __init__(self) -> None:
        self.attempts: list[tuple[str, AttemptResult]] = []
        self.handoffs: list[int] = []
        self.outcomes: dict[tuple[str, DeliveryState], int] = {}
        self.waiting: dict[str, int] = {}

    def attempt(self, channel: str, result: AttemptResult) -> None:
        self.attempts.append((channel, result))

    def handoff(self, received_ms: float, handed_ms: float) -> None:
        self.handoffs.append(handed_ms - received_ms)

    def ended(self, channel: str, outcome: DeliveryState, created_ms: int, ended_ms: int) -> None:
        self.outcomes[channel, outcome] = self.outcomes.get((channel, outcome), 0) + 1

    def pending(self, channel: str, n: int) -> None:
        self.waiting[channel] = n
