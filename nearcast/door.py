"""What the HTTP interface asks of a running process: the `Intake` over the live loop, the state and the store.

Owns the shapes of what is read out of the state. Must not know HTTP. Whatever touches the store's file runs in a
thread.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.ids import instant
from engine.layout import NEVER
from engine.outward import user_lines
from engine.ports import DecisionQuery, DeliveryState
from nearcast.nearby import Nearby

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from connectors.intake import LocatedAnswer
    from connectors.store_sqlite import SqliteStore
    from engine.pings import Pings
    from engine.wire import Happened, UserChanged
    from nearcast.live import Live
    from rules.facts import User

#: Outcomes after which a delivery may be sent again.
_RESENDABLE = frozenset({DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED, DeliveryState.UNKNOWN})


class Door:
    """The `Intake` of a running process."""

    def __init__(self, live: Live, store: SqliteStore) -> None:
        self._live = live
        self._store = store
        self._nearby: Nearby | None = None
        self._resending: set[str] = set()
        self.after_erasure: Callable[[], None] = lambda: None

    @property
    def ready(self) -> bool:
        """True while pings are taken."""
        return self._live.ready

    async def located(self, pings: Pings, *, received_ms: float, wait: bool) -> LocatedAnswer:
        """Take the accepted pings and sightings of one request."""
        return await self._live.located(pings, received_ms=received_ms, wait=wait)

    async def noted(self, inputs: Sequence[Happened | UserChanged]) -> tuple[int, int]:
        """Take events, and changes to what is known of users, in order; returns (accepted, duplicate)."""
        if not inputs:
            return 0, 0
        duplicate = (await self._live.submit(inputs)).count(False)
        return len(inputs) - duplicate, duplicate

    async def erase(self, user: str) -> None:
        """Forget a user: from the answer on nothing is sent; stored frames are rewritten soon after."""
        await self._live.erase(user)
        self.after_erasure()

    async def user(self, user: str) -> User | None:
        """What is known of a user, None when nothing is."""
        found = self._live.engine.people.users.get(user)
        return found if found is not None and found.known else None

    async def export(self, user: str) -> dict[str, Any] | None:
        """All that is kept of a user; None when nothing is."""
        found = self._live.engine.people.find(user)
        devices = self._live.engine.sense.devices
        slots = devices.of_user(user)
        kept = await asyncio.to_thread(self._store.export, user, [devices.names[slot] for slot in slots])
        if found is None and not any(kept.values()):
            return None
        state: dict[str, Any] = {"id": user}
        if found is not None:
            keep_ms = self._live.engine.site.settings.keep.events_ms
            state |= user_lines(found, self._live.clock.now_ms() - keep_ms)
        state["devices"] = [self._device(slot) for slot in slots]
        self._tried(kept["deliveries"])
        return state | kept

    def _device(self, slot: int) -> dict[str, Any]:
        devices = self._live.engine.sense.devices
        columns = devices.columns
        seen_ms = int(columns["clock_ms"][slot])
        lat, lng = float(columns["lat"][slot]), float(columns["lng"][slot])
        return {
            "device": devices.names[slot],
            "last_seen": None if seen_ms == NEVER else instant(seen_ms),
            "lat": None if np.isnan(lat) else lat,
            "lng": None if np.isnan(lng) else lng,
        }

    def near(self, lat_deg: float, lng_deg: float, limit: int) -> list[dict[str, Any]]:
        """The fences nearest to a point, as the circle round each."""
        site = self._live.engine.site
        if self._nearby is None or self._nearby.version != site.version:
            self._nearby = Nearby(site)
        return self._nearby.nearest(lat_deg, lng_deg, limit)

    async def present(self, place: str) -> list[dict[str, Any]] | None:
        """Who is at a place; None when there is no such place."""
        sense = self._live.engine.sense
        number = next((n for n, p in enumerate(sense.view.places) if p.id == place), None)
        if number is None:
            return None
        clock = sense.devices.columns["clock_ms"]
        lines = [
            {
                "device": sense.devices.names[slot],
                "user": sense.devices.user_of(slot),
                "since": instant(entered_ms),
                "last_seen": instant(int(clock[slot])),
            }
            for slot, _, entered_ms in sense.present((number,))
        ]
        return sorted(lines, key=lambda line: (line["since"], line["device"]))

    async def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """Kept decisions, newest first."""
        return await asyncio.to_thread(self._store.decisions, query)

    async def deliveries(self, outcome: str | None, limit: int) -> list[dict[str, Any]]:
        """Deliveries of one outcome, or of all, newest first."""
        return self._tried(await asyncio.to_thread(self._store.deliveries, outcome, limit))

    def _tried(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """These deliveries, the pending ones with their attempts: of those the store has none until they end."""
        for line in lines:
            tried = self._live.dispatcher.tried(line["key"])
            if tried is not None and line["outcome"] == DeliveryState.PENDING:
                line["attempts"], line["detail"] = tried
        return lines

    async def resend(self, key: str) -> bool | None:
        """Send a delivery again. None: there is no such key. False: its state or a stopped rule forbids it."""
        if key in self._resending:
            return False  # what the store says of it is out of date as soon as that is committed
        self._resending.add(key)
        try:
            delivery = await asyncio.to_thread(self._store.delivery, key)
            if delivery is None:
                return None
            return delivery.state in _RESENDABLE and await self._live.resend(delivery)
        finally:
            self._resending.discard(key)
