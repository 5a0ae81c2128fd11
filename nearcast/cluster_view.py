"""What people ask of a cluster's state: a user, who is where, what was decided, what was delivered.

Owns the shapes of these answers, which are those of `run`. Reads only. Must not know HTTP.
"""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any

import orjson

from connectors.redis_places import RedisPlaces
from engine.decided import decode_decided
from engine.ids import instant
from engine.layout import NEVER
from engine.outward import delivery_line, user_lines
from engine.person import read_person
from engine.ports import DeliveryState
from engine.shard import read_device, read_meta

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from connectors.redis_deliveries import RedisDeliveries
    from engine.decided import Decided
    from engine.person import Person
    from engine.ports import DecisionQuery
    from nearcast.cluster import Cluster


class ClusterView:
    """Looks into a cluster's Redis. All raise `StoreError`."""

    def __init__(self, cluster: Cluster, deliveries: RedisDeliveries) -> None:
        self._cluster = cluster
        self._deliveries = deliveries
        self._places = RedisPlaces(cluster.redis, cluster.names.name)

    async def person(self, user: str) -> Person | None:
        """What is kept of a user."""
        stored = (await self._cluster.people.read([user]))[user]
        return None if stored.value is None else read_person(stored.value)

    async def decisions(self, query: DecisionQuery) -> list[dict[str, Any]]:
        """A user's kept decisions, newest first."""
        assert query.user is not None, "decisions are kept by user"
        values = await self._cluster.people.decisions(query.user)
        return [orjson.loads(one.line) for one in newest(map(decode_decided, values), query)]

    async def deliveries(self, outcome: str | None, limit: int) -> list[dict[str, Any]]:
        """Deliveries of one outcome, or of all, newest first."""
        state = None if outcome is None else DeliveryState(outcome)
        return [delivery_line(kept.delivery) for kept in await self._deliveries.listed(state, limit)]

    async def present(self, place: str) -> list[dict[str, Any]]:
        """Who is at a place."""
        entered = await self._places.at(place)
        found = await self._devices(list(entered))
        await self._places.leave(place, [device for device in entered if device not in found])
        lines = [
            {
                "device": device,
                "user": user or device,
                "since": instant(entered[device]),
                "last_seen": instant(columns["clock_ms"]),
            }
            for device, (user, columns) in found.items()
        ]
        return sorted(lines, key=lambda line: (line["since"], line["device"]))

    async def export(self, user: str) -> dict[str, Any] | None:
        """All that is kept of a user; None when nothing is. Looks at every device: for the few who ask for it."""
        person = await self.person(user)
        values = await self._cluster.people.decisions(user)
        decisions = [orjson.loads(decode_decided(value).line) for value in values]
        deliveries = [
            delivery_line(kept.delivery) | {"message": orjson.loads(kept.delivery.body)}
            for kept in await self._deliveries.of_user(user)
        ]
        devices = [line async for line in self._devices_of(user)]
        if not (person is not None and _is_known(person)) and not decisions and not deliveries and not devices:
            return None
        state: dict[str, Any] = {"id": user}
        if person is not None:
            keep_ms = self._cluster.settings.keep.events_ms
            state |= user_lines(person.user, self._cluster.clock.now_ms() - keep_ms)
        return state | {"devices": devices, "decisions": decisions, "deliveries": deliveries}

    async def _devices(self, names: list[str]) -> dict[str, tuple[str | None, Mapping[str, Any]]]:
        """The kept state of devices, by name; those that are gone are missing."""
        by_shard: dict[int, list[str]] = {}
        for name in names:
            by_shard.setdefault(self._cluster.partitions.of(name), []).append(name)
        found: dict[str, tuple[str | None, Mapping[str, Any]]] = {}
        for shard, mine in by_shard.items():
            stored = await self._cluster.shards.read(shard)
            if stored.meta is None:
                continue
            meta = read_meta(stored.meta)
            values = await self._cluster.shards.some(shard, stored.generation, mine)
            found |= {
                name: read_device(meta, value) for name, value in zip(mine, values, strict=True) if value is not None
            }
        return found

    async def _devices_of(self, user: str) -> Any:
        for shard in range(self._cluster.partitions.count):
            stored = await self._cluster.shards.read(shard)
            if stored.meta is None:
                continue
            meta = read_meta(stored.meta)
            async for piece in self._cluster.shards.devices(shard, stored.generation):
                for name, value in piece:
                    owner, columns = read_device(meta, value)
                    if (owner or name) == user:
                        yield _device_line(name, columns)


def newest(kept: Iterable[Decided], query: DecisionQuery) -> list[Decided]:
    """Those of a user's kept decisions that are asked for, newest first.

    Those of one instant stand by their occasions, in the order in which these are decided.
    """
    wanted = [
        one
        for one in kept
        if (query.rule is None or one.rule == query.rule) and (query.since_ms is None or one.time_ms >= query.since_ms)
    ]
    wanted.sort(key=_when, reverse=True)
    return wanted[: query.limit]


def _when(one: Decided) -> tuple[int, str, int, str, str, str, str]:
    line = orjson.loads(one.line)
    occasion = line["occasion"]["time"]  # of one form always: as texts they stand as instants do
    return one.time_ms, occasion, one.offset, line["device"] or "", line["place"] or "", one.rule, one.key


def _device_line(name: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    seen_ms, lat, lng = columns["clock_ms"], columns["lat"], columns["lng"]
    return {
        "device": name,
        "last_seen": None if seen_ms == NEVER else instant(seen_ms),
        "lat": None if isnan(lat) else lat,
        "lng": None if isnan(lng) else lng,
    }


def _is_known(person: Person) -> bool:
    user = person.user
    return bool(user.known or user.visits or user.events or user.sends or person.stays)
