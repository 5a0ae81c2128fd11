"""Fences as a site has them: a shape, the place that rules see, and how presence is judged there.

Owns what a feature's `properties` mean. Must not know geometry (`geo/geojson.py` reads and judges it) nor other files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from engine.detection_block import DETECTION, DetectionBlock
from geo.geojson import Feature, read_features
from geo.jsontext import JsonText, line_starts
from geo.shape import Area, Circle, Shape
from geo.timezone import timezone_at
from rules.node import Node
from rules.place import Place, PlaceKind
from rules.scalars import Text, Zone
from rules.shapes import Desk, Fields, Key, Listing, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.detection import Detection
    from geo.mistake import Mistake

    Steps = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Fence:
    """A geofence in force. `detection` is complete: the site's defaults are in it."""

    place: Place
    shape: Shape
    detection: Detection


@dataclass(frozen=True, slots=True)
class FenceDraft:
    """A geofence as its file has it, not yet laid over the site's defaults. `file`, `line`, `column`: where it is."""

    place: Place
    shape: Shape
    block: DetectionBlock
    file: str
    line: int
    column: int

    def under(self, base: Detection) -> Fence:
        """The fence in a site with these defaults."""
        return Fence(self.place, self.shape, self.block.over(base))


_PROPERTIES: Final = Fields(
    "properties",
    {
        "name": Key(Text(most=256), "what people call it"),
        "tags": Key(Listing(Text(most=128), least=0), "rules may point at all places with a tag"),
        "group": Key(Text(most=128), "rules may point at all places of a group"),
        "timezone": Key(Zone(), "an IANA name; else that of the fence's position"),
        "detection": Key(DETECTION, "how presence is judged here"),
    },
    lambda record: record,
)
#: Properties that have a meaning of their own: all others are free data, for templates.
_MEANT: Final = frozenset({*_PROPERTIES.keys, "id", "radius_m", "buffer_m"})


def read_fences(text: bytes, *, file: str) -> tuple[list[FenceDraft], list[Mistake]]:
    """The fences of one GeoJSON file in file order, and all its mistakes, in order."""
    features, mistakes = read_features(text, file=file)
    drafts = []
    where: _Where | None = None
    for feature in features:
        desk = Desk()
        draft = _draft(feature, _node_of(_said(feature), _Here(feature, file)), desk)
        if draft is not None:
            drafts.append(draft)
            continue
        # only now is it worth the time to find out where in the file each property stands
        where = where or _Where(text.decode("utf-8-sig"), file)
        desk = Desk()
        _draft(feature, where.properties(feature), desk)
        mistakes.extend(replace(m, what=f"fence `{feature.id}`: {m.what}") for m in desk.mistakes)
    return drafts, sorted(mistakes)


def _said(feature: Feature) -> dict[str, Any]:
    """The properties that mean something to us. `null`, which many programs write for a missing one, is none."""
    return {k: v for k, v in feature.properties.items() if k in _PROPERTIES.keys and v is not None}


def _draft(feature: Feature, node: Node, desk: Desk) -> FenceDraft | None:
    record: Record | None = _PROPERTIES.read(node, desk)
    if record is None:
        return None
    place = Place(
        id=feature.id,
        kind=PlaceKind.FENCE,
        name=record.get("name", feature.id),
        tags=frozenset(record.get("tags", ())),
        group=record.get("group"),
        timezone=record.get("timezone") or timezone_at(*inner_point(feature.shape)),
        data={k: v for k, v in feature.properties.items() if k not in _MEANT},
    )
    block = record.get("detection", DetectionBlock())
    return FenceDraft(place, feature.shape, block, node.file, feature.line, feature.column)


def inner_point(shape: Shape) -> tuple[float, float]:
    """(lat_deg, lng_deg) of a point of the fence, near its middle: the middle of its longest level cut.

    >>> inner_point(Circle(35.69, 139.7, 50.0))
    (35.69, 139.7)
    """
    if isinstance(shape, Circle):
        return shape.lat_deg, shape.lng_deg
    if not isinstance(shape, Area):
        line = shape.lines[0]
        lng, lat = line[len(line) // 2]
        return float(lat), float(lng)
    rings = max(shape.polygons, key=lambda polygon: _extent(polygon[0]))
    lat = _level(rings)
    cuts = sorted(_crossings(rings, lat))
    west, east = max(zip(cuts[::2], cuts[1::2], strict=False), key=lambda cut: cut[1] - cut[0])
    return lat, (west + east) / 2.0


def _extent(ring: Any) -> float:
    west, south = ring.min(axis=0)
    east, north = ring.max(axis=0)
    return float((east - west) * (north - south))


def _level(rings: Sequence[Any]) -> float:
    """A latitude near the middle on which no corner lies."""
    corners = sorted({float(lat) for ring in rings for lat in ring[:, 1]})
    middle = (corners[0] + corners[-1]) / 2.0
    low, high = min(pairwise(corners), key=lambda gap: abs((gap[0] + gap[1]) / 2.0 - middle))
    return (low + high) / 2.0


def _crossings(rings: Sequence[Any], lat: float) -> list[float]:
    """The longitudes at which the edges cross a latitude on which no corner lies."""
    found: list[float] = []
    for ring in rings:
        for (x0, y0), (x1, y1) in zip(ring[:-1].tolist(), ring[1:].tolist(), strict=True):
            if (y0 > lat) != (y1 > lat):
                found.append(x0 + (lat - y0) * (x1 - x0) / (y1 - y0))
    return found


def _node_of(value: Any, at: Callable[[Steps], Node], steps: Steps = ()) -> Node:
    """A tree of nodes for a plain JSON value. `at` gives a node that stands where the value at some steps does."""
    place = at(steps)
    text = "" if isinstance(value, dict | list) else _written(value)
    node = Node(value, text=text, file=place.file, line=place.line, column=place.column)
    members: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        node.value, members = {}, value.items()
    elif isinstance(value, list):
        node.value, members = [], enumerate(value)
    for name, item in members:
        child = _node_of(item, at, (*steps, name))
        child.name, child.parent = name, node
        if isinstance(name, str):
            node.value[name] = child
        else:
            node.value.append(child)
    return node


def _written(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


class _Here:
    """Everything stands where its feature starts: near enough while nothing is wrong."""

    def __init__(self, feature: Feature, file: str) -> None:
        self._node = Node(None, text="", file=file, line=feature.line, column=feature.column)

    def __call__(self, _: Steps) -> Node:
        return self._node


class _Where:
    """Where the properties of features stand in their file."""

    def __init__(self, text: str, file: str) -> None:
        self.json = JsonText(text)
        self.file = file
        self._starts = line_starts(text)

    def properties(self, feature: Feature) -> Node:
        """The properties that mean something to us, as nodes at their places."""
        offset = self._starts[feature.line - 1] + feature.column - 1
        offset = self.json.find(("properties",), offset)

        def at(steps: Steps) -> Node:
            line, column = self.json.line_column(self.json.find(steps, offset))
            return Node(None, text="", file=self.file, line=line, column=column)

        return _node_of(_said(feature), at)
