"""A journal in memory: whole commits or none, and what is left of it after a crash.

Owns the port `Journal` for the simulation, honestly: bytes only, so that nothing of a dead process lives on in it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from engine.ports import Checkpoint, Commit, Delivery, DeliveryState, StoredFrame, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass
class MemoryJournal:
    """The frames, what they decided, and the deliveries. `refuses` makes the next commit fail."""

    refuses: bool = False
    stored: list[StoredFrame] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    decisions: dict[str, tuple[str, str]] = field(default_factory=dict)
    balance: Counter[str] = field(default_factory=Counter)
    _points: list[Checkpoint] = field(default_factory=list)
    _site: tuple[str, dict[str, bytes]] | None = None
    _pending: dict[str, None] = field(default_factory=dict)

    def commit(self, commit: Commit) -> None:
        """Write one step, whole or not at all."""
        if self.refuses:
            self.refuses = False
            raise StoreError("the disk of the simulation is full")
        assert commit.seq == len(self.stored) + 1, (commit.seq, len(self.stored))
        self.stored.append(StoredFrame(commit.seq, commit.now_ms, commit.frame))
        for decision in commit.decisions:
            self.decisions.setdefault(decision.key, (decision.user, decision.reason.value))
        for delivery in commit.deliveries:
            if delivery.key not in self.deliveries:
                self._begin(delivery, "deliveries")
        for ending in commit.endings:
            self._end(ending.key, ending.state, ending.at_ms, ending.attempts, ending.detail)
        for key, expires_ms in commit.resent:
            found = self.deliveries.get(key)
            if found is not None and found.state not in (DeliveryState.PENDING, DeliveryState.DELIVERED):
                self._begin(
                    replace(found, state=DeliveryState.PENDING, expires_ms=expires_ms, attempt_open=False), "resent"
                )
        for user in commit.erased:
            self.deliveries = {k: d for k, d in self.deliveries.items() if d.user != user}
            self.decisions = {k: d for k, d in self.decisions.items() if d[0] != user}
        if commit.edited is not None:
            self._site = commit.edited

    def _begin(self, delivery: Delivery, how: str) -> None:
        self.deliveries[delivery.key] = delivery
        self._pending[delivery.key] = None
        self.balance[how] += 1

    def _end(self, key: str, state: DeliveryState, at_ms: int, attempts: int, detail: str) -> None:
        found = self.deliveries.get(key)
        if found is None or key not in self._pending:
            return
        del self._pending[key]
        self.balance["endings"] += 1
        self.balance[state.value] += 1
        attempts = max(attempts, found.attempts)
        self.deliveries[key] = replace(
            found, state=state, ended_ms=at_ms, attempts=attempts, detail=detail, attempt_open=False
        )

    def open_attempts(self, attempts: Sequence[tuple[str, int]]) -> None:
        """Record that attempts of `at_most_once` deliveries are about to be made."""
        for key, number in attempts:
            if key in self._pending:
                self.deliveries[key] = replace(self.deliveries[key], attempts=number, attempt_open=True)

    def frames(self, after_seq: int = 0) -> Iterator[StoredFrame]:
        """The frames after `after_seq`, in order."""
        return iter(self.stored[after_seq:])

    def checkpoint(self) -> Checkpoint | None:
        """The newest checkpoint."""
        return self._points[-1] if self._points else None

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint beside the earlier ones."""
        self._points = [*self._points[-1:], checkpoint]

    def site(self) -> tuple[str, dict[str, bytes]] | None:
        """The version of the site in force and its files."""
        return self._site

    def pending(self) -> list[Delivery]:
        """Deliveries that have not ended, oldest first."""
        return [self.deliveries[key] for key in self._pending]
