"""Fences as a site has them: a shape, the place that rules see, and how presence is judged there.

Owns what a feature's `properties` mean. Must not know geometry (`geo/geojson.py` reads and judges it) nor other files.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from engine.detection_block import DETECTION, DetectionBlock
from geo.geojson import read_features
from geo.shape import Area, Circle, Shape
from geo.timezone import timezone_at
from rules.place import Place, PlaceKind
from rules.reader import Node
from rules.scalars import Text, Zone
from rules.shapes import Desk, Fields, Key, Listing, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.detection import Detection
    from geo.geojson import Feature
    from geo.mistake import Mistake


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
    for feature in features:
        desk = Desk()
        draft = _draft(feature, file, desk)
        if draft is not None:
            drafts.append(draft)
        mistakes.extend(replace(m, what=f"fence `{feature.id}`: {m.what}") for m in desk.mistakes)
    return drafts, sorted(mistakes)


def _draft(feature: Feature, file: str, desk: Desk) -> FenceDraft | None:
    said = {k: v for k, v in feature.properties.items() if k in _PROPERTIES.keys and v is not None}
    node = _node_of(said, Node(None, text="", file=file, line=feature.line, column=feature.column))
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
    return FenceDraft(place, feature.shape, block, file, feature.line, feature.column)


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


def _node_of(value: Any, at: Node) -> Node:
    """A tree of nodes for a plain JSON value, all of them standing where `at` does."""
    text = "" if isinstance(value, dict | list) else _written(value)
    node = Node(value, text=text, file=at.file, line=at.line, column=at.column)
    if isinstance(value, dict):
        node.value = {key: _node_of(item, at) for key, item in value.items()}
    elif isinstance(value, list):
        node.value = [_node_of(item, at) for item in value]
    names = node.value.items() if node.is_mapping else enumerate(node.value) if node.is_list else ()
    for name, child in names:
        child.name, child.parent = name, node
    return node


def _written(value: Any) -> str:
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)
