"""The ways people go: standing, walking, waiting for a train, riding it, strolling through a store.

Owns where everybody truly is at an instant. Must not know phones: their errors, their silence, their
messages. All people are columns. A way is one leg, from one point to another between two instants; when it is
over, `_turn` gives its walker the next one by the table `_AFTER`. Legs are worked out when somebody asks, so
who is asked, and in which order, decides the draws: the same questions give the same ways.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from nearcast.town import Floats, Ints, Town

WALK_MIN_MPS, WALK_MAX_MPS = 1.2, 1.5
#: A train's mean speed between two stops; it peaks at one and a half times this (`_eased`).
TRAIN_MEAN_MPS = 12.0
_NEAR_M = 700.0
#: The least length of a leg: whoever leaves where he stands still takes a moment.
_LEG_MIN_MS = 1_000


class Doing(IntEnum):
    """What somebody does on the present leg."""

    STAND = 0
    TO_STATION = 1
    WAIT = 2
    RIDE = 3
    HALT = 4
    FROM_STATION = 5
    SHOP = 6


class Ways:
    """Where `people` truly are, from `start_ms` on; instants never go back for one person."""

    def __init__(self, town: Town, people: int, start_ms: int, rng: np.random.Generator) -> None:
        self._town, self._rng = town, rng
        self.doing = np.full(people, Doing.STAND, dtype=np.int8)
        self.floor = np.full(people, -1, dtype=np.int64)
        self._from = np.zeros((people, 2))
        self._to = np.zeros((people, 2))
        self._began_ms = np.full(people, start_ms, dtype=np.int64)
        self._ends_ms = np.full(people, start_ms, dtype=np.int64)
        self._station = np.zeros(people, dtype=np.int64)
        self._stop = np.zeros(people, dtype=np.int64)
        self._way_on = np.zeros(people, dtype=np.int64)
        self._hops = np.zeros(people, dtype=np.int64)
        self._floors_left = np.zeros(people, dtype=np.int64)
        self._into_store = np.zeros(people, dtype=np.bool_)
        self._pace_mps = rng.uniform(WALK_MIN_MPS, WALK_MAX_MPS, people)
        self._place_all(start_ms)

    def seek(self, rows: Ints, at_ms: Ints) -> tuple[Floats, Floats, Floats, Floats]:
        """(east m, north m, speed m/s, heading degrees clockwise from north) of `rows`, each at its own
        instant."""
        over = rows[self._ends_ms[rows] <= at_ms]
        while over.size:
            self._turn(over)
            over = rows[self._ends_ms[rows] <= at_ms]
        way = self._to[rows] - self._from[rows]
        length_m = np.hypot(way[:, 0], way[:, 1])
        lasts_s = (self._ends_ms[rows] - self._began_ms[rows]) / 1e3
        share = (at_ms - self._began_ms[rows]) / 1e3 / lasts_s
        riding = self.doing[rows] == Doing.RIDE
        done, rate = _eased(share)
        done = np.where(riding, done, share)
        speed = length_m / lasts_s * np.where(riding, rate, 1.0)
        at = self._from[rows] + way * done[:, None]
        heading = np.degrees(np.arctan2(way[:, 0], way[:, 1])) % 360.0
        return at[:, 0], at[:, 1], speed, heading

    # the first leg of everybody

    def _place_all(self, start_ms: int) -> None:
        """A tenth is inside the hub, a tenth walks up to it, some arrive by train or are in the store, the
        rest is all over the town. So that somebody arrives in each of the first seconds."""
        rng, town, people = self._rng, self._town, self.doing.size
        cast = np.digitize(rng.random(people), [0.10, 0.20, 0.25, 0.33])
        groups = [np.flatnonzero(cast == i) for i in range(5)]
        inside, walking, riding, shopping, elsewhere = groups
        self._station[:] = town.hub
        radius_m = town.radius_m[town.hub]
        self._leg(inside, Doing.STAND, self._around(inside, 0.0, 0.6 * radius_m), self._span(inside, 120, 900))
        self._from[inside] = self._to[inside]
        self._from[walking] = self._to[walking] = self._beyond_the_border(walking, radius_m)
        self._to_station(walking)
        self._from[riding] = self._to[riding] = self._here(riding)
        self._board(riding)
        self._turn_round(riding[self.doing[riding] == Doing.RIDE])
        self._midway(riding)
        self._floors_left[shopping] = rng.integers(2, 9, shopping.size)
        self._from[shopping] = self._to[shopping] = self._in_store(shopping)
        self._shop(shopping)
        self._station[elsewhere] = rng.integers(0, town.east_m.size, elsewhere.size)
        spot = self._around(elsewhere, 50.0, _NEAR_M)
        self._leg(elsewhere, Doing.STAND, spot, self._span(elsewhere, 1, 600))
        self._from[elsewhere] = spot
        passengers = elsewhere[rng.random(elsewhere.size) < 0.3]
        self._ends_ms[passengers] = start_ms
        self._to[passengers] = self._here(passengers)
        self._board(passengers)
        self._midway(passengers)

    def _beyond_the_border(self, rows: Ints, radius_m: float) -> Floats:
        """Points from which `rows` reach the hub's border, one after the other, in 15 to 180 s."""
        from_border_m = self._rng.uniform(15.0, 180.0, rows.size) * self._pace_mps[rows]
        return self._around(rows, radius_m + from_border_m, radius_m + from_border_m)

    def _turn_round(self, rows: Ints) -> None:
        """Make a ride that leaves the hub the one that arrives there, and get out."""
        self._stop[rows] = self._town.railways.onward[1 - self._way_on[rows], self._stop[rows]]
        self._station[rows], self._hops[rows] = self._town.hub, 0
        self._from[rows], self._to[rows] = self._to[rows].copy(), self._from[rows].copy()

    def _midway(self, rows: Ints) -> None:
        """Let the first leg have begun earlier: everybody is somewhere on it."""
        ago_ms = self._rng.random(rows.size) * (self._ends_ms[rows] - self._began_ms[rows])
        self._began_ms[rows] -= ago_ms.astype(np.int64)
        self._ends_ms[rows] -= ago_ms.astype(np.int64)

    # the next leg

    def _turn(self, rows: Ints) -> None:
        doing = self.doing[rows]
        for before, after in _AFTER.items():
            these = rows[doing == before]
            if these.size:
                after(self, these)

    def _to_station(self, rows: Ints) -> None:
        """On foot to an entrance of the station near by."""
        self._walk(rows, Doing.TO_STATION, self._around(rows, 0.0, 60.0))

    def _wait(self, rows: Ints) -> None:
        self._leg(rows, Doing.WAIT, self._to[rows], self._span(rows, 30, 150))

    def _board(self, rows: Ints) -> None:
        """Into any of the station's trains, one way or the other, for a few stops."""
        railways, rng = self._town.railways, self._rng
        first = railways.first[self._station[rows]]
        choices = railways.first[self._station[rows] + 1] - first
        self._stop[rows] = railways.stops[first + (rng.random(rows.size) * choices).astype(np.int64)]
        way_on = rng.integers(0, 2, rows.size)
        is_end = railways.onward[way_on, self._stop[rows]] < 0
        self._way_on[rows] = np.where(is_end, 1 - way_on, way_on)
        self._hops[rows] = rng.integers(1, 8, rows.size)
        self._ride_on(rows)

    def _ride_on(self, rows: Ints) -> None:
        """One stop farther, or out where the ride ends."""
        railways, town = self._town.railways, self._town
        onward = railways.onward[self._way_on[rows], self._stop[rows]]
        rides = (self._hops[rows] > 0) & (onward >= 0)
        self._leave(rows[~rides])
        rows, onward = rows[rides], onward[rides]
        self._stop[rows], self._hops[rows] = onward, self._hops[rows] - 1
        self._station[rows] = railways.station[onward]
        to = np.stack([town.east_m[self._station[rows]], town.north_m[self._station[rows]]], axis=1)
        away = to - self._to[rows]
        self._leg(rows, Doing.RIDE, to, np.hypot(away[:, 0], away[:, 1]) / TRAIN_MEAN_MPS)

    def _halt(self, rows: Ints) -> None:
        self._leg(rows, Doing.HALT, self._to[rows], self._span(rows, 25, 40))

    def _leave(self, rows: Ints) -> None:
        """On foot away from the station: from the hub often into the store, elsewhere to a shop near by or
        anywhere."""
        town, rng = self._town, self._rng
        to = self._around(rows, 100.0, _NEAR_M)
        shop = town.haunts[rng.integers(0, len(town.haunts), rows.size)]
        near = np.hypot(*(shop - self._here(rows)).T) < _NEAR_M
        to = np.where((near & (rng.random(rows.size) < 0.8))[:, None], shop, to)
        into = (self._station[rows] == town.hub) & (rng.random(rows.size) < 0.4)
        to[into] = self._in_store(rows[into])
        self._into_store[rows] = into
        self._floors_left[rows[into]] = rng.integers(2, 9, int(into.sum()))
        self._walk(rows, Doing.FROM_STATION, to)

    def _arrive(self, rows: Ints) -> None:
        into = self._into_store[rows]
        self._shop(rows[into])
        stays = rows[~into]
        self._leg(stays, Doing.STAND, self._to[stays], self._span(stays, 120, 1_200))

    def _shop(self, rows: Ints) -> None:
        """A stroll over one floor, or out when there was enough of them."""
        done = self._floors_left[rows] <= 0
        self.floor[rows[done]] = -1
        self._to_station(rows[done])
        rows = rows[~done]
        self._floors_left[rows] -= 1
        self.floor[rows] = self._rng.integers(0, len(self._town.floors), rows.size)
        self._leg(rows, Doing.SHOP, self._in_store(rows), self._span(rows, 60, 240))

    # the making of a leg

    def _leg(self, rows: Ints, doing: Doing, to: Floats, lasts_s: Floats) -> None:
        """The next leg of `rows` begins where and when the last one ended."""
        self.doing[rows] = doing
        self._from[rows] = self._to[rows]
        self._to[rows] = to
        self._began_ms[rows] = self._ends_ms[rows]
        self._ends_ms[rows] += np.maximum((lasts_s * 1e3).astype(np.int64), _LEG_MIN_MS)

    def _walk(self, rows: Ints, doing: Doing, to: Floats) -> None:
        way = to - self._to[rows]
        self._leg(rows, doing, to, np.hypot(way[:, 0], way[:, 1]) / self._pace_mps[rows])

    def _span(self, rows: Ints, least_s: float, most_s: float) -> Floats:
        return self._rng.uniform(least_s, most_s, rows.size)

    def _here(self, rows: Ints) -> Floats:
        """The middle of everybody's station."""
        station = self._station[rows]
        return np.stack([self._town.east_m[station], self._town.north_m[station]], axis=1)

    def _around(self, rows: Ints, least_m: float | Floats, most_m: float | Floats) -> Floats:
        """Points at a distance of `least_m` to `most_m` from the station, evenly over the ring."""
        turn = self._rng.uniform(0.0, 2 * np.pi, rows.size)
        away = np.sqrt(self._rng.uniform(np.square(least_m), np.square(most_m), rows.size))
        points: Floats = self._here(rows) + np.stack([away * np.cos(turn), away * np.sin(turn)], axis=1)
        return points

    def _in_store(self, rows: Ints) -> Floats:
        """Points in the store: a weighted mean of its corners, which lies in it as it is convex."""
        weights = self._rng.dirichlet(np.ones(len(self._town.store)), rows.size)
        points: Floats = weights @ self._town.store
        return points


def _eased(share: Floats) -> tuple[Floats, Floats]:
    """A train's way from stop to stop: the part of the way done, and the speed by its mean, at a part of the
    time."""
    return share * share * (3 - 2 * share), 6 * share * (1 - share)


_AFTER: dict[Doing, Callable[[Ways, Ints], None]] = {
    Doing.STAND: Ways._to_station,
    Doing.TO_STATION: Ways._wait,
    Doing.WAIT: Ways._board,
    Doing.RIDE: Ways._halt,
    Doing.HALT: Ways._ride_on,
    Doing.FROM_STATION: Ways._arrive,
    Doing.SHOP: Ways._shop,
}
