"""The demo's crowd: phones that report where they are, as real ones do, drawn from a seed.

Owns the phones: their errors, pauses, late and repeated uploads, the beacons they hear, what their owners
buy. Where the owners truly are is `nearcast.ways`. Must not know a clock: the caller says until when. The
same seed gives the same messages, however the time is cut into steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nearcast.ways import Doing, Ways

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nearcast.town import Floats, Ints, Town

#: How long a phone's error is remembered: `exp(-t / tau)` of it is left after t.
ERROR_TAU_S = 30.0
#: A phone's `accuracy` is the radius that holds 68 % of its errors: 1.51 standard deviations of one axis.
ACCURACY_PER_SIGMA = 1.51
ACCURACY_MIN_M, ACCURACY_MAX_M = 5.0, 30.0
#: What a phone hears of its own floor's beacon on the mean, and of the next floor's, with the spread of both.
RSSI_HERE_DBM, RSSI_NEXT_DBM, RSSI_SPREAD_DB = -64.0, -84.0, 5.0
_TX_DBM = -59
_PING_EVERY_S, _PING_JITTER_S, _PING_LEAST_S = 5.0, 0.5, 3.0
_SIGHT_EVERY_S, _SIGHT_JITTER_S = 2.0, 0.5
#: The world moves in ticks of this length, from the start on, so that steps of any length draw the same.
#: No phone pings or hears a beacon twice within one.
_TICK_MS = 1_000
#: A phone whose next ping is farther off than this is silent; then it hears no beacons either.
_AWAKE_MS = 10_000
#: Chances at each ping: to fall silent, to lose the network (underground: more often), to be sent twice.
_SILENT, _HELD, _HELD_UNDERGROUND, _REPEATED = 0.0004, 0.0005, 0.01, 0.01
_BUYS_AT_SIGHTING = 0.004

_Rows = np.ndarray[Any, np.dtype[np.void]]
_MEASURED = ("lat", "lng", "accuracy", "speed", "heading")
_PING = np.dtype([("due", "i8"), ("time", "i8"), ("who", "i8"), *((name, "f8") for name in _MEASURED)])
_SIGHTING = np.dtype([("due", "i8"), ("time", "i8"), ("who", "i8"), ("floor", "i8"), ("rssi", "i8")])
_EVENT = np.dtype([("due", "i8"), ("time", "i8"), ("who", "i8"), ("floor", "i8"), ("item", "i8"), ("total", "i8")])


@dataclass(frozen=True, slots=True)
class CrowdBatch:
    """What all phones sent in one step, each list in the order of sending; bodies of `POST /v1/pings` and
    `/events`."""

    pings: list[dict[str, Any]]
    sightings: list[dict[str, Any]]
    events: list[dict[str, Any]]


class Crowd:
    """`people` with a phone each, in `town`, from `start_ms` (epoch milliseconds) on.

    `gps_noise` scales the errors of position: 0 shows the true ways, with all other draws unchanged.
    """

    def __init__(self, seed: int, *, town: Town, start_ms: int, people: int = 2_000, gps_noise: float = 1.0) -> None:
        ways, phones, owners = (np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3))
        self._town, self._noise, self._rng = town, gps_noise, phones
        self._ways = Ways(town, people, start_ms, ways)
        self._tick_ms = start_ms
        self._error = phones.standard_normal((people, 2))
        self._quality_m = np.exp(phones.normal(np.log(9.0), 0.35, people))
        self._last_ms = np.full(people, start_ms, dtype=np.int64)
        self._next_ping_ms = start_ms + phones.integers(0, int(_PING_EVERY_S * 1e3), people)
        self._next_sight_ms = start_ms + phones.integers(0, int(_SIGHT_EVERY_S * 1e3), people)
        self._held_until_ms = np.full(people, start_ms, dtype=np.int64)
        self._users = [f"u-{i:05d}" for i in range(people)]
        self._devices = [f"d-{i:05d}" for i in range(people)]
        self._pings = np.empty(0, _PING)
        self._sightings = np.empty(0, _SIGHTING)
        self._events = np.empty(0, _EVENT)
        self._user_bodies = _draw_users(self._users, owners)

    def users(self) -> list[dict[str, Any]]:
        """What is known of each person: a body of `PUT /v1/users/{id}` each, and its `id`."""
        return self._user_bodies

    def step(self, until_ms: int) -> CrowdBatch:
        """All that is sent up to and with `until_ms`, and was not given out before."""
        while self._tick_ms <= until_ms:
            self._tick(self._tick_ms + _TICK_MS)
            self._tick_ms += _TICK_MS
        pings, self._pings = _due(self._pings, until_ms)
        sightings, self._sightings = _due(self._sightings, until_ms)
        events, self._events = _due(self._events, until_ms)
        return CrowdBatch(self._ping_bodies(pings), self._sighting_bodies(sightings), self._event_bodies(events))

    # one tick of the world

    def _tick(self, end_ms: int) -> None:
        """Everything that phones do before `end_ms`; what they send lands in the three tables, with when it
        leaves."""
        rows = np.flatnonzero(self._next_ping_ms < end_ms)
        if rows.size:
            self._pings = np.concatenate([self._pings, *self._measure(rows, self._next_ping_ms[rows])])
        is_awake = self._next_ping_ms < end_ms + _AWAKE_MS
        rows = np.flatnonzero((self._ways.floor >= 0) & is_awake & (self._next_sight_ms < end_ms))
        if rows.size:
            heard = self._hear(rows, np.maximum(self._next_sight_ms[rows], end_ms - _TICK_MS))
            self._sightings = np.concatenate([self._sightings, *heard])

    def _measure(self, rows: Ints, at_ms: Ints) -> tuple[_Rows, _Rows]:
        """One ping of each of `rows`, and the copies of those whose answer got lost."""
        rng = self._rng
        east, north, speed, heading = self._ways.seek(rows, at_ms)
        doing = self._ways.doing[rows]
        sky = np.select([doing == Doing.RIDE, doing == Doing.SHOP], [1.8, 2.2], 1.0)
        accuracy = np.clip(
            self._quality_m[rows] * sky * rng.uniform(0.9, 1.1, rows.size), ACCURACY_MIN_M, ACCURACY_MAX_M
        )
        since_s = (at_ms - self._last_ms[rows]) / 1e3
        self._error[rows] = drifted(self._error[rows], since_s, rng.standard_normal((rows.size, 2)))
        self._last_ms[rows] = at_ms
        off = self._error[rows] * (self._noise * accuracy / ACCURACY_PER_SIGMA)[:, None]
        made = np.empty(rows.size, _PING)
        made["time"], made["who"], made["due"] = at_ms, rows, self._leaves(rows, at_ms, doing == Doing.RIDE)
        lng, lat = self._town.plane.degrees(east + off[:, 0], north + off[:, 1])
        made["lng"], made["lat"] = np.round(lng, 6), np.round(lat, 6)
        made["accuracy"] = np.round(accuracy, 1)
        made["speed"] = np.round(np.maximum(speed + rng.normal(0.0, 0.1, rows.size), 0.0), 2)
        made["heading"] = np.where(speed > 0.3, np.round(heading) % 360, -1.0)
        again = made[rng.random(rows.size) < _REPEATED]
        again["due"] += rng.integers(500, 20_000, again.size)
        self._next_ping_ms[rows] = at_ms + self._pauses(rows)
        return made, again

    def _leaves(self, rows: Ints, at_ms: Ints, underground: NDArray[np.bool_]) -> Ints:
        """When a message made at `at_ms` leaves: at once, or with all others when the network is back."""
        rng = self._rng
        lost = rng.random(rows.size) < np.where(underground, _HELD_UNDERGROUND, _HELD)
        lost &= self._held_until_ms[rows] <= at_ms
        until = at_ms + rng.integers(30_000, 180_000, rows.size)
        self._held_until_ms[rows] = np.where(lost, until, self._held_until_ms[rows])
        leaves: Ints = np.maximum(at_ms + rng.integers(50, 400, rows.size), self._held_until_ms[rows])
        return leaves

    def _pauses(self, rows: Ints) -> Ints:
        """Milliseconds to the next ping: some five seconds, now and then minutes of silence."""
        rng = self._rng
        pause_s = np.maximum(rng.normal(_PING_EVERY_S, _PING_JITTER_S, rows.size), _PING_LEAST_S)
        silent = rng.random(rows.size) < _SILENT
        pause_s = np.where(silent, rng.uniform(180.0, 1_800.0, rows.size), pause_s)
        return (pause_s * 1e3).astype(np.int64)

    def _hear(self, rows: Ints, at_ms: Ints) -> tuple[_Rows, _Rows]:
        """What `rows` hear in the store: their floor, at times the next one; and who buys meanwhile."""
        rng, floors = self._rng, len(self._town.floors)
        here = self._ways.floor[rows]
        heard = np.empty(rows.size, _SIGHTING)
        heard["time"], heard["who"], heard["floor"] = at_ms, rows, here
        heard["due"] = np.maximum(at_ms + rng.integers(50, 400, rows.size), self._held_until_ms[rows])
        heard["rssi"] = np.round(rng.normal(RSSI_HERE_DBM, RSSI_SPREAD_DB, rows.size))
        through = heard[rng.random(rows.size) < 0.25]
        through["floor"] = np.where(through["floor"] + 1 < floors, through["floor"] + 1, floors - 2)
        through["rssi"] = np.round(rng.normal(RSSI_NEXT_DBM, RSSI_SPREAD_DB, through.size))
        bought = np.empty(rows.size, _EVENT)
        for name in ("due", "time", "who", "floor"):
            bought[name] = heard[name]
        bought["item"] = rng.integers(1, 41, rows.size)
        bought["total"] = rng.integers(3, 300, rows.size) * 100
        bought = bought[rng.random(rows.size) < _BUYS_AT_SIGHTING]
        self._events = np.concatenate([self._events, bought])
        pause_s = np.maximum(rng.normal(_SIGHT_EVERY_S, _SIGHT_JITTER_S, rows.size), _TICK_MS / 1e3)
        self._next_sight_ms[rows] = at_ms + (pause_s * 1e3).astype(np.int64)
        return heard, through

    # from rows to bodies

    def _ping_bodies(self, rows: _Rows) -> list[dict[str, Any]]:
        users, devices = self._users, self._devices
        return [
            {
                "id": f"{devices[who]}-{time}",
                "device": devices[who],
                "user": users[who],
                "time": time,
                "lat": lat,
                "lng": lng,
                "accuracy": accuracy,
                "speed": speed,
                "heading": heading,
            }
            for _, time, who, lat, lng, accuracy, speed, heading in rows.tolist()
        ]

    def _sighting_bodies(self, rows: _Rows) -> list[dict[str, Any]]:
        floors = self._town.floors
        return [
            {
                "device": self._devices[who],
                "user": self._users[who],
                "time": time,
                "beacon": floors[floor][1],
                "rssi": rssi,
                "tx": _TX_DBM,
            }
            for _, time, who, floor, rssi in rows.tolist()
        ]

    def _event_bodies(self, rows: _Rows) -> list[dict[str, Any]]:
        floors, store = self._town.floors, self._town.store_id
        return [
            {
                "id": f"{self._users[who]}-{time}",
                "user": self._users[who],
                "type": "purchase",
                "time": time,
                "data": {
                    "store": store,
                    "floor": floors[floor][0],
                    "sku": f"{floor + 1:02d}-{item:03d}",
                    "total": total,
                },
            }
            for _, time, who, floor, item, total in rows.tolist()
        ]


def drifted(error: Floats, since_s: Floats, fresh: Floats) -> Floats:
    """The next value of an error that changes slowly (AR(1) in continuous time, variance 1).

    `error` and `fresh` (independent, standard normal) have shape (n, k), `since_s` shape (n,).

    >>> drifted(np.array([[1.0]]), np.array([0.0]), np.array([[5.0]])).tolist()
    [[1.0]]
    """
    kept = np.exp(-since_s / ERROR_TAU_S)[:, None]
    return kept * error + np.sqrt(1.0 - kept * kept) * fresh


def _due(rows: _Rows, until_ms: int) -> tuple[_Rows, _Rows]:
    """The rows that leave up to `until_ms`, in the order of leaving, and the others."""
    ripe = rows["due"] <= until_ms
    go = rows[ripe]
    return go[np.lexsort((go["who"], go["time"], go["due"]))], rows[~ripe]


def _draw_users(names: list[str], rng: np.random.Generator) -> list[dict[str, Any]]:
    """Half are bronze, the rest silver and gold; three in four gave their consent, the others refused it or
    were never asked; one in five reads English; a few live in another time zone."""
    n = len(names)
    tier = rng.choice(["gold", "silver", "bronze"], n, p=[0.2, 0.3, 0.5]).tolist()
    asked, gave = (rng.random(n) < 0.85).tolist(), (rng.random(n) < 0.88).tolist()
    locale = np.where(rng.random(n) < 0.8, "ja", "en").tolist()
    abroad = (rng.random(n) < 0.02).tolist()
    points = rng.integers(0, 8_000, n).tolist()
    return [
        {
            "id": name,
            "attributes": {"tier": tier[i], "points": points[i]},
            "consent": {"location_marketing": gave[i], "service_messages": True} if asked[i] else {},
            "locale": locale[i],
            "timezone": "America/Los_Angeles" if abroad[i] else "Asia/Tokyo",
            "tokens": {"push": f"demo-{name}"},
        }
        for i, name in enumerate(names)
    ]
