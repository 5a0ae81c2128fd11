"""From GeoJSON geometry to a shape, or to all that is wrong with it.

Owns what a fence's geometry must be like (RFC 7946, and what cannot be meant). Must not know files and lines: a fault
names its place as a path into the feature.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from geo.arrays import FloatArray
from geo.jsontext import Path
from geo.rings import is_plain_ring, overlap_fault, polygon_fault
from geo.shape import BUFFER_M_MAX, RADIUS_M_MAX, Area, Circle, Corridor, Shape

CUT = "cut it at 180 degrees into a `Multi` geometry, as RFC 7946 section 3.1.9 says"
KINDS = ("Polygon", "MultiPolygon", "Point", "LineString", "MultiLineString")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a feature: where (`path`, and in words `part`), what, what came, how to mend it."""

    path: Path
    part: str
    what: str
    got: str | None
    mend: str


def shape_of(geometry: Any, properties: dict[str, Any]) -> tuple[Shape | None, list[Fault]]:
    """The shape of a feature, or None and all its faults."""
    if not isinstance(geometry, dict):
        mend = "draw a Polygon, or a Point with `radius_m`"
        return None, [Fault(("geometry",), "", "it has no geometry", brief(geometry), mend)]
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind not in KINDS:
        mend = "a fence is a Polygon, a MultiPolygon, a Point with `radius_m` or a LineString with `buffer_m`"
        return None, [Fault(("geometry", "type"), "", "wrong type of geometry", brief(kind), mend)]
    if not isinstance(coordinates, list) or not coordinates:
        path: Path = ("geometry", "coordinates")
        return None, [Fault(path, "", "empty geometry", brief(coordinates), "list its positions")]
    reader = _Reader(coordinates)
    if kind == "Point":
        return reader.circle(properties), reader.faults
    if kind in ("LineString", "MultiLineString"):
        return reader.corridor(coordinates, properties, multi=kind == "MultiLineString"), reader.faults
    return reader.area(coordinates, multi=kind == "MultiPolygon"), reader.faults


class _Reader:
    """Reads the coordinates of one feature, gathering faults."""

    def __init__(self, coordinates: list[Any]) -> None:
        self.faults: list[Fault] = []
        self._coordinates = coordinates
        self._swap_told = False

    @cached_property
    def _swapped(self) -> bool:
        return _looks_swapped(self._coordinates)

    def circle(self, properties: dict[str, Any]) -> Circle | None:
        radius_m = self._metres(properties, "radius_m", "a Point", RADIUS_M_MAX)
        chain = self._chain([self._coordinates], (), "", alone=True)
        if chain is None or radius_m is None:
            return None
        return Circle(float(chain[0, 1]), float(chain[0, 0]), radius_m)

    def corridor(self, coordinates: list[Any], properties: dict[str, Any], *, multi: bool) -> Corridor | None:
        buffer_m = self._metres(properties, "buffer_m", "a LineString", BUFFER_M_MAX)
        lines = []
        for n, line in enumerate(coordinates if multi else [coordinates]):
            path: Path = (n,) if multi else ()
            part = f", line {n}" if multi else ""
            chain = self._chain(line, path, part)
            if chain is None:
                continue
            if len(chain) < 2 or bool((chain == chain[0]).all()):
                self._fault(path, part, "a line needs 2 different positions", str(len(chain)), "add one")
            elif self._within_half_turn(chain := _on_one_side(chain), path, part):
                lines.append(chain)
        return None if self.faults or buffer_m is None else Corridor(tuple(lines), buffer_m)

    def area(self, coordinates: list[Any], *, multi: bool) -> Area | None:
        polygons = []
        for n, rings in enumerate(coordinates if multi else [coordinates]):
            path: Path = (n,) if multi else ()
            part = f", polygon {n}" if multi else ""
            polygon = self._polygon(rings, path, part)
            if polygon is not None:
                polygons.append(polygon)
        if not self.faults and len(polygons) > 1:
            overlap = overlap_fault(polygons)
            if overlap is not None:
                first, second, got = overlap
                mend = "join them into one polygon, or move them apart"
                self._fault((second,), f", polygon {second}", f"it overlaps polygon {first}", got, mend)
        return None if self.faults else Area(tuple(polygons))

    def _polygon(self, rings: Any, path: Path, part: str) -> tuple[FloatArray, ...] | None:
        if not isinstance(rings, list) or not rings:
            self._fault(path, part, "empty geometry", brief(rings), "list its rings")
            return None
        out = [self._ring(ring, (*path, n), f"{part}, ring {n}") for n, ring in enumerate(rings)]
        good = tuple(ring for ring in out if ring is not None)
        if len(good) < len(out):
            return None
        fault = polygon_fault(good)
        if fault is None:
            return good
        place: Path = path if fault.vertex is None else (*path, fault.ring, fault.vertex)
        words = f"{part}, ring {fault.ring}" + ("" if fault.vertex is None else f", vertex {fault.vertex}")
        self._fault(place, words, fault.what, fault.got, fault.mend)
        return None

    def _ring(self, ring: Any, path: Path, part: str) -> FloatArray | None:
        chain = self._chain(ring, path, part)
        if chain is None:
            return None
        if is_plain_ring(chain):
            return chain
        chain = _on_one_side(chain)
        before = len(self.faults)
        if len(chain) < 4:
            what = "a ring needs at least 4 positions, the last equal to the first"
            self._fault(path, part, what, str(len(chain)), "add the missing corners")
        elif not bool((chain[0] == chain[-1]).all()):
            last = len(chain) - 1
            mend = f"end it with its first position [{_number(chain[0, 0])}, {_number(chain[0, 1])}]"
            got = f"[{_number(chain[-1, 0])}, {_number(chain[-1, 1])}]"
            self._fault((*path, last), f"{part}, vertex {last}", "the ring is open", got, mend)
        else:
            self._within_half_turn(chain, path, part, ring=True)
        return chain if len(self.faults) == before else None

    def _chain(self, positions: Any, path: Path, part: str, *, alone: bool = False) -> FloatArray | None:
        """float64[n, 2] of good positions; the first bad one is a fault, which tells how many more there are."""
        if not isinstance(positions, list) or not positions:
            self._fault(path, part, "empty geometry", brief(positions), "list its positions")
            return None
        chain = _good_chain(positions)
        if chain is not None:
            return chain
        bad = [(k, fault) for k, p in enumerate(positions) if (fault := self._position_fault(p)) is not None]
        if not bad:
            return np.array([[float(p[0]), float(p[1])] for p in positions])
        k, (what, got, mend) = bad[0]
        if self._swapped:
            if self._swap_told:
                return None
            self._swap_told = True
        elif len(bad) > 1:
            what += f" (and {len(bad) - 1} more)"
        where: Path = path if alone else (*path, k)
        self._fault(where, part if alone else f"{part}, vertex {k}", what, got, mend)
        return None

    def _position_fault(self, position: Any) -> tuple[str, str, str] | None:
        """(what, got, mend) of a position that is none."""
        if not isinstance(position, list) or len(position) < 2 or not all(_is_number(c) for c in position):
            what = "a position is two numbers, longitude and latitude"
            return what, brief(position), "write it as [139.7, 35.69]"
        lng, lat = position[0], position[1]
        got = brief([lng, lat])
        if not all(_is_finite(c) for c in position):
            return "a coordinate is not a finite number", got, "write degrees as decimal numbers"
        if -180 <= lng <= 180 and -90 <= lat <= 90:
            return None
        if self._swapped:
            mend = "GeoJSON puts longitude first: swap them"
            return "the coordinates seem to be swapped, latitude first", got, mend
        if -90 <= lat <= 90:
            mend = f"use degrees; if it lies over the antimeridian, {CUT}"
            return "longitude must be between -180 and 180", got, mend
        return "latitude must be between -90 and 90", got, "positions are [longitude, latitude] in degrees"

    def _within_half_turn(self, chain: FloatArray, path: Path, part: str, *, ring: bool = False) -> bool:
        """False, and a fault, if an edge is so long that the short way over the antimeridian must be meant.

        An edge along a whole parallel, from -180 to 180, is what cutting itself makes.
        """
        steps = np.diff(chain[:, 0])
        whole = (np.abs(chain[:-1, 0]) == 180.0) & (np.abs(chain[1:, 0]) == 180.0)
        over = np.flatnonzero((np.abs(steps) > 180.0) & ~whole)
        if over.size == 0:
            return True
        k = int(over[0])
        got = f"{_number(chain[k, 0])} to {_number(chain[k + 1, 0])}"
        turns = steps - 360.0 * np.round(steps / 360.0)
        if ring and abs(float(turns.sum())) > 180.0:
            what = "the ring goes round a pole, which a ring in degrees cannot enclose"
            mend = "use a Point with `radius_m` at the pole, or cut it at 180 degrees and close it along latitude 90"
        else:
            what, mend = "this edge goes over the antimeridian", CUT
        self._fault((*path, k), f"{part}, vertex {k}", what, got, mend)
        return False

    def _metres(self, properties: dict[str, Any], key: str, kind: str, most: float) -> float | None:
        value = properties.get(key)
        path: Path = ("properties", key)
        if value is None:
            got = "null" if key in properties else None
            fault = Fault(path, "", f"{kind} needs `{key}` in its properties", got, f'add it, such as "{key}": 50')
        elif not _is_number(value) or not _is_finite(value):
            fault = Fault(path, "", f"`{key}` must be a number of metres", brief(value), "write it as 50")
        elif value <= 0:
            fault = Fault(path, "", f"`{key}` must be above 0", str(value), "write metres, such as 50")
        elif value > most:
            fault = Fault(path, "", f"`{key}` must be at most {most:.0f} m", str(value)[:40], "draw a Polygon instead")
        else:
            return float(value)
        self.faults.append(fault)
        return None

    def _fault(self, path: Path, part: str, what: str, got: str | None, mend: str) -> None:
        self.faults.append(Fault(("geometry", "coordinates", *path), part, what, got, mend))


def _on_one_side(chain: FloatArray) -> FloatArray:
    """180 and -180 are one meridian: a chain that lies on one side of it has the name that it has from there.

    Not where an edge runs along a whole parallel, from the one to the other.

    >>> _on_one_side(np.array([[-179.0, 0.0], [180.0, 1.0]])).tolist()
    [[-179.0, 0.0], [-180.0, 1.0]]
    """
    on_it = np.abs(chain[:, 0]) == 180.0
    others = np.sign(chain[~on_it, 0])
    along = on_it[:-1] & on_it[1:] & (chain[:-1, 0] != chain[1:, 0]) & (chain[:-1, 1] == chain[1:, 1])
    if not on_it.any() or others.size == 0 or others[0] == 0.0 or (others != others[0]).any() or along.any():
        return chain
    out = chain.copy()
    out[on_it, 0] = 180.0 * others[0]
    return out


def _good_chain(positions: list[Any]) -> FloatArray | None:
    """The positions as float64[n, 2], if nothing is wrong with any; None to have them looked at one by one.

    >>> _good_chain([[139.7, 35.69], [139, 35]]).tolist(), _good_chain([[139.7, 91.0]])
    ([[139.7, 35.69], [139.0, 35.0]], None)
    """
    if set(map(type, positions)) != {list} or set(map(len, positions)) != {2}:
        return None
    numbers = [number for position in positions for number in position]
    if not set(map(type, numbers)) <= {float, int}:
        return None
    try:
        found = np.array(numbers, np.float64).reshape(-1, 2)
    except OverflowError:
        return None
    return found if bool((np.abs(found) <= (180.0, 90.0)).all()) else None


def brief(value: Any) -> str:
    """How a value of a JSON text looks, in a few characters; never deep.

    >>> brief([139.7, "x"]), brief({"a": 1}), brief(None)
    ('[139.7, "x"]', 'an object', 'null')
    """
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        if any(isinstance(v, list | dict) for v in value) or len(value) > 3:
            return "an array"
        return f"[{', '.join(brief(v) for v in value)}]"
    # half a surrogate pair, which JSON lets through, cannot be written out but as an escape
    text = json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= 40 else text[:37] + "..."


def _looks_swapped(coordinates: Any) -> bool:
    """True if some latitude is out of range, and all positions would be right the other way round."""
    waiting, beyond = [coordinates], False
    while waiting:
        value = waiting.pop()
        if not isinstance(value, list):
            continue
        if len(value) >= 2 and _is_number(value[0]) and _is_number(value[1]):
            if not (-90 <= value[0] <= 90 and -180 <= value[1] <= 180):
                return False
            beyond = beyond or not -90 <= value[1] <= 90
        else:
            waiting += value
    return beyond


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: float) -> bool:
    """Integers always are; those too large for a float are found by the range that follows."""
    return isinstance(value, int) or math.isfinite(value)


def _number(value: float) -> str:
    return repr(float(value))
