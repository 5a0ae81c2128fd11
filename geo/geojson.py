"""Fences from GeoJSON (RFC 7946).

Owns the reading of FeatureCollections and the identity of features. Must not know files, nor what `properties` mean to
rules: it takes from them only `id`, and the metres of circles and corridors. Geometry is judged in `geometry`.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

from geo.geometry import Fault, brief, shape_of
from geo.jsontext import JsonText, Path, line_starts, too_deep_at
from geo.mistake import Mistake
from geo.shape import Shape
from geo.swiftjson import plain_features

_DIGITS = re.compile(r"\d{1000}")

DEPTH_MAX = 64
"""Free data in `properties` may be nested so deep."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One fence: its id, its shape, its raw properties, and where in the file it starts (from 1)."""

    id: str
    shape: Shape
    properties: dict[str, Any]
    line: int
    column: int


def read_features(text: str | bytes, *, file: str) -> tuple[list[Feature], list[Mistake]]:
    """The good features of a FeatureCollection, and all mistakes of the others, in the order of the text.

    Vertices are counted from 0, as `coordinates[ring][vertex]` does. Altitudes are left out; numeric ids become text.

    >>> feature = '{"type": "Feature", "id": 7, "properties": {"radius_m": 50}, "geometry": {"type": "Point", '
    >>> feature += '"coordinates": [139.7, 35.69]}}'
    >>> text = '{"type": "FeatureCollection", "features": [' + feature + "]}"
    >>> features, mistakes = read_features(text, file="fences/a.geojson")
    >>> features[0].id, features[0].shape, mistakes
    ('7', Circle(lat_deg=35.69, lng_deg=139.7, radius_m=50.0), [])
    >>> str(read_features("[1,\\n", file="fences/a.geojson")[1][0])
    'fences/a.geojson:2:1: this is not JSON: expecting value, mend the syntax here'
    """
    features = _read_plain(text, file) if isinstance(text, bytes) else None
    if features is not None:
        return features, []
    content, broken = _decoded(text, file)
    if broken is not None:
        return [], [broken]
    try:
        reader = _Reader(file, JsonText(content))
        reader.read(json.loads(content))
    except json.JSONDecodeError as error:
        what = f"this is not JSON: {error.msg[:1].lower()}{error.msg[1:]}"
        return [], [Mistake(file, error.lineno, error.colno, what, None, "mend the syntax here")]
    except RecursionError:
        what = f"nested deeper than {DEPTH_MAX} levels"
        return [], [_mistake_at(content, too_deep_at(content, DEPTH_MAX), file, what, "flatten it")]
    except ValueError:
        # the one other thing that `json.loads` refuses: Python makes no numbers of thousands of digits
        found = _DIGITS.search(content)
        offset = found.start() if found else 0
        return [], [_mistake_at(content, offset, file, "a number has too many digits", "shorten it")]
    return reader.features, reader.mistakes


def _read_plain(text: bytes, file: str) -> list[Feature] | None:
    """The features of a plain text without mistakes, else None."""
    found = plain_features(text)
    if found is None:
        return None
    reader = _Reader(file)
    try:
        for index, (member, (line, column)) in enumerate(zip(*found, strict=True)):
            reader.feature(index, member, line, column)
    except _MistakenError:
        return None
    return reader.features


class _MistakenError(Exception):
    """A reader that does not know where values stand met a mistake."""


def _mistake_at(text: str, offset: int, file: str, what: str, mend: str) -> Mistake:
    starts = line_starts(text[:offset])
    return Mistake(file, len(starts), offset - starts[-1] + 1, what, None, mend)


def _decoded(text: str | bytes, file: str) -> tuple[str, Mistake | None]:
    """The text without a byte order mark."""
    if isinstance(text, str):
        return text.removeprefix("\ufeff"), None
    try:
        return text.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        before = text[: error.start].decode("utf-8-sig")
        starts = line_starts(before)
        bad = f"0x{text[error.start]:02x}"
        column = len(before) - starts[-1] + 1
        return "", Mistake(file, len(starts), column, "this byte is not UTF-8", bad, "save the file as UTF-8")


class _Reader:
    """Gathers the features and mistakes of one document. Without `where` it raises `_MistakenError` at a mistake."""

    def __init__(self, file: str, where: JsonText | None = None) -> None:
        self.where = where
        self.file = file
        self.features: list[Feature] = []
        self.mistakes: list[Mistake] = []
        self._lines: dict[str, int] = {}

    def read(self, document: Any) -> None:
        kind = document.get("type") if isinstance(document, dict) else None
        if kind != "FeatureCollection":
            got = brief(kind if isinstance(document, dict) else document)
            mend = 'wrap it as {"type": "FeatureCollection", "features": [...]}'
            self._mistake(0, ("type",), "a fence file is a `FeatureCollection`", got, mend)
            return
        members = document.get("features")
        if not isinstance(members, list):
            self._mistake(0, ("features",), "`features` must be an array", brief(members), "list the features in it")
            return
        assert self.where is not None
        offset = self.where.find(("features",))
        for (index, at), member in zip(self.where.children(offset), members, strict=True):
            self.feature(int(index), member, *self.where.line_column(at), at)

    def feature(self, index: int, member: Any, line: int, column: int, at: int = 0) -> None:
        """Take one feature, which stands at a line and column, and at an offset for `where`."""
        if not isinstance(member, dict) or member.get("type") != "Feature":
            got = brief(member.get("type") if isinstance(member, dict) else member)
            mend = 'it needs {"type": "Feature", ...}'
            self._mistake(at, ("type",), f"feature {index} is not a `Feature`", got, mend)
            return
        before = len(self.mistakes)
        properties = member.get("properties")
        if properties is None:
            properties = {}
        if not isinstance(properties, dict):
            what = f"feature {index}: `properties` must be an object"
            self._mistake(at, ("properties",), what, brief(properties), "use {}")
            properties = {}
        fence = self._id(index, at, member, properties, line)
        name = f"feature {index}" if fence is None else f"fence `{fence}`"
        self._check_data(at, name, properties)
        shape, faults = shape_of(member.get("geometry"), properties)
        for fault in faults:
            self._fault(at, name, fault)
        if fence is not None and shape is not None and len(self.mistakes) == before:
            self.features.append(Feature(fence, shape, properties, line, column))

    def _id(self, index: int, at: int, member: dict[str, Any], properties: dict[str, Any], line: int) -> str | None:
        """The feature's id as text, or None and a mistake."""
        path: Path = ("id",) if member.get("id") is not None else ("properties", "id")
        value = member.get("id") if path == ("id",) else properties.get("id")
        if value is None:
            mend = 'give it an `id`, such as "shop-1"'
            self._mistake(at, (), f"feature {index} has no `id`", None, mend)
            return None
        if isinstance(value, bool) or not isinstance(value, str | int | float) or not _is_text(str(value)):
            what = f"feature {index}: `id` must be a text or a number"
            self._mistake(at, path, what, brief(value), 'write it as "shop-1"')
            return None
        fence = str(value)
        if fence in self._lines:
            what = f"two fences have the id `{fence}`, the first in line {self._lines[fence]}"
            self._mistake(at, path, what, None, "give each its own")
        self._lines.setdefault(fence, line)
        return fence

    def _check_data(self, at: int, name: str, properties: dict[str, Any]) -> None:
        """Free data that JSON has no words for (NaN, 1e999), or that is nested too deep."""
        waiting: list[tuple[Path, Any]] = [((), properties)]
        while waiting:
            path, value = waiting.pop()
            if isinstance(value, float) and not math.isfinite(value) and path not in (("radius_m",), ("buffer_m",)):
                what = f"{name}: a property is not a finite number"
                self._mistake(at, ("properties", *path), what, str(value), "write a number or null")
            if not isinstance(value, dict | list):
                continue
            if len(path) >= DEPTH_MAX:
                what = f"{name}: `properties` are nested deeper than {DEPTH_MAX} levels"
                self._mistake(at, ("properties", *path), what, None, "flatten them")
                return
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += [((*path, key), item) for key, item in inner]

    def _fault(self, at: int, name: str, fault: Fault) -> None:
        self._mistake(at, fault.path, f"{name}{fault.part}: {fault.what}", fault.got, fault.mend)

    def _mistake(self, at: int, path: Path, what: str, got: str | None, mend: str) -> None:
        if self.where is None:
            raise _MistakenError
        line, column = self.where.line_column(self.where.find(path, at))
        self.mistakes.append(Mistake(self.file, line, column, what, got, mend))


def _is_text(value: str) -> bool:
    """True for what can be written as UTF-8: JSON lets half a surrogate pair through."""
    return bool(value) and not any("\ud800" <= c <= "\udfff" for c in value)
