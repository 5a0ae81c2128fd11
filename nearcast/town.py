"""The ground that the demo's crowd walks on: stations and their railways, shops, the floors of a store.

Owns reading it from a site's own files, so that the crowd goes where the site's fences are. Must not know
people. Everything is in metres east and north of one point, on a plane: within a city the error (below 1 m in
10 km) is far less than a phone's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

#: Consecutive stations farther apart than this are no neighbours: the railway left the site in between.
_HOP_MAX_M = 5_000.0
_NONE = -1
#: The tags of fences that people go into and stay in.
_SHOPS = frozenset({"own-store", "competitor"})


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east and north of (`lat_deg`, `lng_deg`), and back: a WGS84 degree's length there, taken as
    constant."""

    lat_deg: float
    lng_deg: float

    @property
    def _metres_per_degree(self) -> tuple[float, float]:
        phi = np.radians(self.lat_deg)
        north = 111_132.954 - 559.822 * np.cos(2 * phi) + 1.175 * np.cos(4 * phi)
        east = 111_412.84 * np.cos(phi) - 93.5 * np.cos(3 * phi)
        return float(east), float(north)

    def metres(self, lng_deg: Floats, lat_deg: Floats) -> tuple[Floats, Floats]:
        """(east, north) in metres of points in degrees."""
        east, north = self._metres_per_degree
        return (lng_deg - self.lng_deg) * east, (lat_deg - self.lat_deg) * north

    def degrees(self, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
        """(lng, lat) in degrees of points in metres."""
        east, north = self._metres_per_degree
        return self.lng_deg + east_m / east, self.lat_deg + north_m / north


@dataclass(frozen=True, slots=True)
class Railways:
    """All stops of all railways in one table: a stop is one station on one railway, `onward[0]` is its next
    stop, `onward[1]` the one before (-1: the end). `stops[first[s] : first[s + 1]]` are the stops at station
    `s`."""

    station: Ints
    onward: Ints
    first: Ints
    stops: Ints


@dataclass(frozen=True, slots=True)
class Town:
    """What the crowd knows of the site. `hub` is the station where the demo happens; `store` the shop with
    floors, as (east, north) of its corners; `floors` pairs each beacon zone's id with the one beacon heard
    there."""

    plane: Plane
    east_m: Floats
    north_m: Floats
    radius_m: Floats
    railways: Railways
    hub: int
    store_id: str
    store: Floats
    floors: tuple[tuple[str, str], ...]
    haunts: Floats
    """Where people sit down, away from their stations: (n, 2) east and north of the other shops."""


def town_of(files: Mapping[str, bytes], *, hub: str = "shinjuku", store: str = "store-shinjuku") -> Town:
    """The town in a site's files (path in the site to content), round the station `hub` and the shop `store`.

    Needs `fences/stations.geojson` (points with `radius_m` and `lines`: railway to number),
    `fences/stores.geojson` and `beacons/store.yaml`, as in the shipped site. Raises KeyError where one of
    them or the hub or store is missing.
    """
    stations = _features(files["fences/stations.geojson"])
    ids = [feature["id"] for feature in stations]
    if hub not in ids:
        raise KeyError(f"no station `{hub}` in fences/stations.geojson")
    at = np.array([feature["geometry"]["coordinates"] for feature in stations], dtype=np.float64)
    centre = ids.index(hub)
    plane = Plane(lat_deg=float(at[centre, 1]), lng_deg=float(at[centre, 0]))
    east, north = plane.metres(at[:, 0], at[:, 1])
    shops = {
        feature["id"]: _corners(feature, plane)
        for feature in _features(files["fences/stores.geojson"])
        if not _SHOPS.isdisjoint(feature["properties"]["tags"])
    }
    if store not in shops:
        raise KeyError(f"no shop `{store}` in fences/stores.geojson")
    return Town(
        plane=plane,
        east_m=east,
        north_m=north,
        radius_m=np.array([float(feature["properties"]["radius_m"]) for feature in stations]),
        railways=_railways([feature["properties"]["lines"] for feature in stations], east, north),
        hub=centre,
        store_id=store,
        store=shops[store],
        floors=_floors(files["beacons/store.yaml"], store),
        haunts=np.array([corners.mean(axis=0) for id, corners in shops.items() if id != store]),
    )


def _features(geojson: bytes) -> list[dict[str, Any]]:
    features: list[dict[str, Any]] = orjson.loads(geojson)["features"]
    return features


def _corners(feature: dict[str, Any], plane: Plane) -> Floats:
    """The outer corners of a shop, each once, or the one point of a circle."""
    coordinates = feature["geometry"]["coordinates"]
    is_circle = feature["geometry"]["type"] == "Point"
    at = np.array([coordinates] if is_circle else coordinates[0][:-1], dtype=np.float64)
    return np.stack(plane.metres(at[:, 0], at[:, 1]), axis=1)


def _floors(text: bytes, store: str) -> tuple[tuple[str, str], ...]:
    """One iBeacon of each zone in the store; where the zone takes every minor number (`*`), the first."""
    found = []
    for zone in YAML(typ="safe").load(text.decode()):
        beacons = [beacon for beacon in zone["beacons"] if beacon.startswith("ibeacon:")]
        if zone.get("inside") == store and beacons:
            found.append((zone["id"], beacons[0].replace("*", "1")))
    return tuple(found)


def _railways(lines: Sequence[Mapping[str, int]], east: Floats, north: Floats) -> Railways:
    """The table of stops. A railway whose ends are neighbours too, after 20 stops or more, is a loop."""
    by_railway: dict[str, list[tuple[int, int]]] = {}
    for station, numbers in enumerate(lines):
        for railway, number in numbers.items():
            by_railway.setdefault(railway, []).append((number, station))
    stations: list[int] = []
    onward: list[list[int]] = [[], []]
    for railway in sorted(by_railway):
        route = [station for _, station in sorted(by_railway[railway])]
        base, n = len(stations), len(route)
        hop = np.hypot(np.diff(east[[*route, route[0]]]), np.diff(north[[*route, route[0]]]))
        joined = hop <= _HOP_MAX_M
        joined[-1] &= n >= 20 and hop[-1] <= 2 * np.median(hop)
        after = [base + (i + 1) % n if joined[i] else _NONE for i in range(n)]
        before = [base + (i - 1) % n if joined[i - 1] else _NONE for i in range(n)]
        stations += route
        onward[0] += after
        onward[1] += before
    at = np.array(stations, dtype=np.int64)
    stops = np.argsort(at, kind="stable").astype(np.int64)
    first = np.searchsorted(at[stops], np.arange(len(lines) + 1)).astype(np.int64)
    return Railways(at, np.array(onward, dtype=np.int64), first, stops)
