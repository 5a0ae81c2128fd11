"""The ports: what the fold's effects are, and where they may go. Protocols only.

Owns the values that pass from the engine to the world and back. Must not know any implementation.
Each port has one contract suite under `tests/`, which every implementation passes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rules.facts import Decision


class DeliveryState(StrEnum):
    """Where a delivery stands: `pending`, or one of the six outcomes."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    WITHDRAWN = "withdrawn"
    UNKNOWN = "unknown"


#: The outcomes after which a message may have reached the person: they commit the limits, the others release them.
HANDED_OVER = frozenset({DeliveryState.DELIVERED, DeliveryState.UNKNOWN})


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message on its way through one channel, under one key. `body` is the JSON that is handed over.

    `tags`, `place` and `test` are those of the reservation, so that a failed one can be sent again. `received_ms` is
    when the ping came that caused it (None for timers): for the metric `nearcast_ping_to_handoff_seconds`.
    `state`, `attempts`, `ended_ms` and `detail` are filled in when it is read back from a store.
    """

    key: str
    decision: str
    rule: str
    user: str
    channel: str
    body: bytes
    created_ms: int
    expires_ms: int
    tags: tuple[str, ...] = ()
    place: str | None = None
    test: bool = False
    at_most_once: bool = False
    received_ms: float | None = None
    state: DeliveryState = DeliveryState.PENDING
    attempts: int = 0
    attempt_open: bool = False
    ended_ms: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a delivery ended, to be recorded."""

    key: str
    state: DeliveryState
    at_ms: int
    attempts: int = 0
    detail: str = ""


class Commit(msgspec.Struct, frozen=True):
    """What one step leaves behind: one atomic write.

    `seq` numbers the frames without a gap from 1. Decisions and deliveries whose key is there already are left as they
    are. `erased` users' decisions and deliveries go in the same write; `erased_devices` says which devices each of them
    held, so that those rows are found in older frames which name no user. `resent` keys become pending again with the
    expiry given. `edited` holds a new version of the site and its files.
    """

    seq: int
    now_ms: int
    frame: bytes
    decisions: Sequence[Decision] = ()
    deliveries: Sequence[Delivery] = ()
    endings: Sequence[Ending] = ()
    resent: Sequence[tuple[str, int]] = ()
    erased: Sequence[str] = ()
    edited: tuple[str, dict[str, bytes]] | None = None
    erased_devices: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """A frame as it stands in the journal."""

    seq: int
    now_ms: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state as it was after frame `seq`. `damaged` newer ones were passed over to get at it."""

    seq: int
    now_ms: int
    state: bytes
    damaged: int = 0


@dataclass(frozen=True, slots=True)
class DecisionQuery:
    """Which kept decisions are asked for; newest first. `device` and `occasion_ms` find those of a repeated ping."""

    user: str | None = None
    rule: str | None = None
    device: str | None = None
    occasion_ms: int | None = None
    since_ms: int | None = None
    limit: int = 100


class StoreError(Exception):
    """The store cannot be used: locked, read-only, full, corrupt, newer. The message says which and how to mend it."""


class StoreDamagedError(StoreError):
    """The store's file is damaged: what is written there may not be found again."""


class AwayError(StoreError):
    """A server does not answer, or takes nothing just now: wait, and ask again."""


class StoreBrokenError(StoreError):
    """The store can never again tell whether a write of this process is on disk: only a new process can."""


class Journal(Protocol):
    """The truth: frames in order, and what each of them decided. Raises `StoreError`."""

    def commit(self, commit: Commit) -> None:
        """Write one step, durably, whole or not at all."""

    def frames(self, after_seq: int = 0) -> Iterator[StoredFrame]:
        """The frames after `after_seq`, in order."""

    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint."""

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint beside the earlier ones."""

    def site(self) -> tuple[str, dict[str, bytes]] | None:
        """The version of the site in force and its files."""

    def pending(self) -> list[Delivery]:
        """Deliveries that have not ended, oldest first."""


class AttemptResult(StrEnum):
    """What one attempt came to."""

    OK = "ok"
    RETRY = "retry"
    FAIL = "fail"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The answer to one attempt. `retry_after_ms` is what the other side asked for; `detail` is for people.

    `RETRY`: it said no for now. `UNKNOWN`: it may or may not have arrived (timeout, connection lost).
    """

    result: AttemptResult
    detail: str = ""
    retry_after_ms: int | None = None
    handed_ms: float | None = None


class Channel(Protocol):
    """Where messages leave. Never raises for what the other side does: that is an `Attempt`."""

    async def attempt(self, delivery: Delivery, number: int) -> Attempt:
        """Try once to hand the message over; `number` counts from 1."""

    async def close(self) -> None:
        """Let go of connections and files."""


@dataclass(slots=True)
class Balance:
    """Counts of one step, for the metrics' balances. `late` pings are among the accepted."""

    accepted: int = 0
    duplicate: int = 0
    late: int = 0
    transitions: dict[str, int] = field(default_factory=dict)
