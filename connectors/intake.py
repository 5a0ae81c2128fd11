"""The intake: what the HTTP interface asks of whoever runs the engine.

Owns the face between the two, and how the engine says "not now". Must not know HTTP, nor how an engine is run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.pings import Pings
    from engine.ports import DecisionQuery
    from engine.wire import Happened, UserChanged
    from rules.facts import User


class LocatedAnswer(NamedTuple):
    """What became of the good pings of one request. `decisions` and `messages` are there if they were waited for."""

    accepted: int
    duplicate: int
    decisions: list[dict[str, Any]] | None = None
    messages: list[dict[str, Any]] | None = None


class NotNowError(Exception):
    """Nothing was taken; come again after `retry_after_s` seconds."""

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"come again in {retry_after_s:g} s")
        self.retry_after_s = retry_after_s


class Unavailable(NotNowError):  # noqa: N818 - a state, named as HTTP names it
    """The store cannot keep anything now, or this process has not begun or is ending: 503."""


class Busy(NotNowError):  # noqa: N818 - a state
    """More waits already than is good: 429."""


class Intake(Protocol):
    """Whoever runs the engine. What takes something in answers once that is durable, and raises `NotNowError`."""

    @property
    def ready(self) -> bool:
        """True while pings are taken."""

    async def located(self, pings: Pings, *, received_ms: float, wait: bool) -> LocatedAnswer:
        """Take the good pings and sightings of one request, received at `received_ms`."""

    async def noted(self, inputs: Sequence[Happened | UserChanged]) -> tuple[int, int]:
        """Take events, and changes to what is known of users, in order; returns (accepted, duplicate)."""

    async def erase(self, user: str) -> None:
        """Forget a user."""

    async def user(self, user: str) -> User | None:
        """What is known of a user, None when nobody wrote anything about them."""

    async def export(self, user: str) -> dict[str, Any] | None:
        """All that is kept of a user; None when nothing is."""

    def near(self, lat_deg: float, lng_deg: float, limit: int) -> list[dict[str, Any]]:
        """The fences nearest to a point, as the circle round each."""

    async def present(self, place: str) -> list[dict[str, Any]] | None:
        """Who is at a place; None when there is no such place."""

    async def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """Kept decisions, newest first."""

    async def deliveries(self, outcome: str | None, limit: int) -> list[dict[str, Any]]:
        """Deliveries of one outcome, or all, newest first."""

    async def resend(self, key: str) -> bool | None:
        """Send a delivery again. None: there is no such key. False: it is not in a state to be sent again."""
