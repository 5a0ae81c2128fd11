"""What is read from GeoJSON, and every refusal with its place and its words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geo import geojson
from geo.geojson import read_features
from geo.mistake import Mistake
from geo.shape import Area, Circle, Corridor

WRAP = ', wrap it as {"type": "FeatureCollection", "features": [...]}'
SQUARE = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]


def _feature(kind: str, coordinates: Any, properties: Any = None, **more: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "id": "a", "properties": properties, "geometry": geometry} | more


def _polygon(*rings: Any, **more: Any) -> dict[str, Any]:
    return _feature("Polygon", list(rings), **more)


def _text(*features: Any) -> str:
    """One feature a line: the first is in line 2."""
    return '{"type": "FeatureCollection", "features": [\n' + ",\n".join(map(json.dumps, features)) + "\n]}"


def _mistakes(*features: Any) -> list[str]:
    found, mistakes = read_features(_text(*features), file="f.geojson")
    assert found == [] or len(features) > 1
    return [str(m) for m in mistakes]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6,
)  # fmt: skip
_NUMBERS = st.integers(-200, 200) | st.floats(-200.0, 200.0) | st.floats() | st.just(10**30)
_GEOMETRIES = st.one_of(
    st.fixed_dictionaries({"type": st.just("Point"), "coordinates": st.lists(_NUMBERS, min_size=2, max_size=3)}),
    st.fixed_dictionaries({"type": st.just("Polygon"), "coordinates": st.just([SQUARE])}),
    _VALUES,
)
_FEATURES = st.fixed_dictionaries(
    {
        "type": st.just("Feature"),
        "id": st.integers(0, 5) | st.text(max_size=3) | st.integers(),
        "geometry": _GEOMETRIES,
    },
    optional={"properties": st.dictionaries(st.sampled_from(["radius_m", "name", "あ"]), _VALUES | _NUMBERS)},
)
_DOCUMENTS = st.fixed_dictionaries(
    {"type": st.sampled_from(["FeatureCollection"] * 9 + ["Feature"]), "features": st.lists(_FEATURES | _VALUES)},
    optional={"crs": _VALUES, "others": st.lists(_FEATURES)},
)


@given(_DOCUMENTS | _VALUES, st.sampled_from([None, 1]), st.booleans(), st.data())
def test_the_swift_decoder_reads_what_it_may_read_as_the_standard_one_does(
    document: Any, indent: int | None, ascii_only: bool, data: st.DataObject
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    at = data.draw(st.integers(0, len(text)))
    text = (
        text[:at]
        + data.draw(st.sampled_from([b""] * 5 + [b"\xef\xbb\xbf", b" ", b"\n", b"{", b"]", b'"', b"7"]))
        + text[at:]
    )
    swift = read_features(text, file="f")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(geojson, "plain_features", lambda text: None)
        assert repr(read_features(text, file="f")) == repr(swift)


def test_a_plain_file_is_read_by_the_swift_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(geojson, "JsonText")
    square = _polygon(SQUARE, properties={"name": '駅 "x" \\ {['})
    text = '\ufeff{"type": "FeatureCollection",\n "features": [' + json.dumps(square, ensure_ascii=False)
    text += ',\n  {"id": 7, "properties": {"radius_m": 50}, "type": "Feature", '
    text += '"geometry": {"type": "Point", "coordinates": [139.7, 35.69]}}], "bbox": [[{}]]}'
    features, mistakes = read_features(text.encode(), file="f")
    assert mistakes == []
    assert [(f.id, f.line, f.column) for f in features] == [("a", 2, 15), ("7", 3, 3)]


def test_every_kind_of_fence_is_read() -> None:
    hole = [[0.2, 0.2], [0.2, 0.4], [0.4, 0.4], [0.2, 0.2]]
    features, mistakes = read_features(
        _text(
            _polygon(SQUARE, hole, id="polygon", properties={"name": "x"}),
            _feature("MultiPolygon", [[SQUARE], [[[5, 5], [6, 5], [6, 6], [5, 5]]]], id="multi"),
            _feature("Point", [139.7, 35.69, 40.0], {"radius_m": 50}, id="circle"),
            _feature("LineString", [[139.7, 35.69], [139.71, 35.69]], {"buffer_m": 20.5}, id="road"),
            _feature("MultiLineString", [[[0, 0], [1, 1]], [[2, 2], [3, 3]]], {"buffer_m": 1}, id="roads"),
        ),
        file="f.geojson",
    )
    assert mistakes == []
    assert [(f.id, f.line, f.column) for f in features] == [
        ("polygon", 2, 1), ("multi", 3, 1), ("circle", 4, 1), ("road", 5, 1), ("roads", 6, 1),
    ]  # fmt: skip
    polygon, multi, circle, road, roads = (f.shape for f in features)
    assert isinstance(polygon, Area)
    assert [r.tolist() for r in polygon.polygons[0]] == [np.array(SQUARE, float).tolist(), hole]
    assert isinstance(multi, Area)
    assert len(multi.polygons) == 2
    assert circle == Circle(35.69, 139.7, 50.0)
    assert isinstance(road, Corridor)
    assert (road.buffer_m, road.lines[0].tolist()) == (20.5, [[139.7, 35.69], [139.71, 35.69]])
    assert isinstance(roads, Corridor)
    assert len(roads.lines) == 2
    assert features[0].properties == {"name": "x"}


def test_either_winding_altitudes_and_free_data_are_taken() -> None:
    ring = [[*p, 12.5] for p in SQUARE[::-1]]
    features, mistakes = read_features(_text(_polygon(ring, properties={"any": [1, {"thing": None}]})), file="f")
    assert mistakes == []
    assert features[0].properties == {"any": [1, {"thing": None}]}


@pytest.mark.parametrize(
    ("more", "want"),
    [
        ({"id": 7}, "7"),
        ({"id": 7.5}, "7.5"),
        ({"id": None, "properties": {"id": "b"}}, "b"),
        ({"id": None, "properties": {"id": 12}}, "12"),
        ({"id": "a", "properties": {"id": "b"}}, "a"),
        ({"id": "新宿"}, "新宿"),
    ],
)
def test_the_id_is_the_features_else_that_of_its_properties(more: dict[str, Any], want: str) -> None:
    features, mistakes = read_features(_text(_polygon(SQUARE, **more)), file="f")
    assert ([f.id for f in features], mistakes) == ([want], [])


#: One feature a paragraph, and what is said of it.
REFUSALS = [p.split("\n") for p in Path(__file__).with_name("refusals.txt").read_text("utf-8").strip().split("\n\n")]


@pytest.mark.parametrize(("feature", "want"), REFUSALS, ids=[want for _, want in REFUSALS])
def test_a_refusal_says_where_what_and_how_to_mend(feature: str, want: str) -> None:
    told = _mistakes(json.loads(feature))
    assert len(told) == 1
    assert told[0].startswith("f.geojson:2:")
    assert told[0].split(": ", 1)[1] == want


def test_the_table_of_refusals_is_whole() -> None:
    assert len(REFUSALS) >= 45
    assert all(len(paragraph) == 2 for paragraph in REFUSALS)


def test_the_line_and_column_are_those_of_the_vertex() -> None:
    text = """{"type": "FeatureCollection",
 "features": [
  {"type": "Feature", "id": "shop", "properties": {},
   "geometry": {"type": "Polygon", "coordinates": [[
     [0, 0], [1, 0],
     [1, 100], [0, 0]]]}}
 ]}"""
    _, mistakes = read_features(text, file="f")
    assert [(m.line, m.column) for m in mistakes] == [(6, 6)]


def test_all_mistakes_are_told_at_once_and_good_features_are_read() -> None:
    features = [
        _polygon(SQUARE, id="good"),
        _polygon(SQUARE[:-1], [[0, 0], [1, 1], [0, 0]], id="two"),
        _feature("Point", [0, 95], {"radius_m": -1}, id="both"),
        _polygon(SQUARE, id="good"),
        _feature("LineString", [[0, 0]], id="three", properties={"buffer_m": "wide", "x": float("inf")}),
    ]
    found, mistakes = read_features(_text(*features), file="f")
    assert [f.id for f in found] == ["good"]
    assert [(m.line, m.what.split(":")[0]) for m in mistakes] == [
        (3, "fence `two`, ring 0, vertex 3"), (3, "fence `two`, ring 1"), (4, "fence `both`"), (4, "fence `both`"),
        (5, "two fences have the id `good`, the first in line 2"),
        (6, "fence `three`"), (6, "fence `three`"), (6, "fence `three`"),
    ]  # fmt: skip


def test_two_fences_on_one_line_cannot_share_an_id() -> None:
    feature = json.dumps(_polygon(SQUARE))
    text = '{"type": "FeatureCollection", "features": [' + feature + "," + feature + "]}"
    found, mistakes = read_features(text, file="f")
    assert (len(found), len(mistakes)) == (1, 1)


def test_a_number_and_its_text_are_the_same_id() -> None:
    assert len(_mistakes(_polygon(SQUARE, id=7), _polygon(SQUARE, id="7"))) == 1


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("", "f:1:1: this is not JSON: expecting value, mend the syntax here"),
        ('{"type":\n  oops}', "f:2:3: this is not JSON: expecting value, mend the syntax here"),
        ("[]", "f:1:1: a fence file is a `FeatureCollection`, got `[]`" + WRAP),
        ('{"type": "Feature"}', 'f:1:10: a fence file is a `FeatureCollection`, got `"Feature"`' + WRAP),
        ('{"type": "FeatureCollection"}', "f:1:1: `features` must be an array, got `null`, list the features in it"),
        (b'{"type":\n "Feat\xffure"}', "f:2:7: this byte is not UTF-8, got `0xff`, save the file as UTF-8"),
        ("[" * 100_000, "f:1:65: nested deeper than 64 levels, flatten it"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "f:1:321: nested deeper than 64 levels, flatten it"),
        ('{"a": ' + "1" * 5_000 + "}", "f:1:7: a number has too many digits, shorten it"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_collection_is_refused(text: str | bytes, want: str) -> None:
    features, mistakes = read_features(text, file="f")
    assert features == []
    assert [str(m) for m in mistakes] == [want]


@pytest.mark.parametrize("depth", [100, 500, 800, 900, 950, 980, 990])
def test_no_depth_of_nesting_breaks_the_reader(depth: int) -> None:
    nested = "[" * depth + "]" * depth
    for text in (
        '{"type": "FeatureCollection", "features": ' + nested + "}",
        _text(_polygon(SQUARE)).replace('"properties": null', '"properties": {"x": ' + nested + "}"),
        _text(_polygon(SQUARE)).replace("[[[0, 0]", nested[:depth] + "0" + nested[depth:] + ", [[[0, 0]"),
    ):
        features, mistakes = read_features(text, file="f")
        assert features == []
        assert len(mistakes) >= 1


def test_a_byte_order_mark_and_an_empty_collection_are_fine() -> None:
    text = '{"type": "FeatureCollection", "features": []}'
    assert read_features("\ufeff" + text, file="f") == ([], [])
    assert read_features(b"\xef\xbb\xbf" + text.encode(), file="f") == ([], [])


def test_a_fence_cut_at_the_antimeridian_and_one_closed_at_the_pole_are_read() -> None:
    cut = [[[[179, 0], [180, 0], [180, 1], [179, 0]]], [[[-180, 0], [-179, 0], [-180, 1], [-180, 0]]]]
    polar = [[[-180, -90], [180, -90], [180, -60], [0, -70], [-180, -60], [-180, -90]]]
    features, mistakes = read_features(
        _text(_feature("MultiPolygon", cut, id="a"), _feature("Polygon", polar, id="b")), file="f"
    )
    assert ([f.id for f in features], mistakes) == (["a", "b"], [])


def test_polygons_of_one_fence_may_share_an_edge() -> None:
    beside = [[1, 0], [2, 0], [2, 1], [1, 1], [1, 0]]
    features, mistakes = read_features(_text(_feature("MultiPolygon", [[SQUARE], [beside]])), file="f")
    assert (len(features), mistakes) == (1, [])


def test_a_hole_may_touch_the_ring() -> None:
    hole = [[0, 0.5], [0.5, 0.6], [0.5, 0.4], [0, 0.5]]
    assert read_features(_text(_polygon(SQUARE, hole)), file="f")[1] == []


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_180_and_minus_180_are_one_meridian_whichever_an_author_writes(side: float) -> None:
    ring = [[side * 179, 0], [-side * 180, 0], [side * 180, 1], [side * 179, 1], [side * 179, 0]]
    line = [[side * 179, 0], [-side * 180, 1]]
    document = {
        "type": "FeatureCollection",
        "features": [
            {"type": "Feature", "id": "a", "geometry": {"type": "Polygon", "coordinates": [ring]}},
            {
                "type": "Feature", "id": "b", "properties": {"buffer_m": 5},
                "geometry": {"type": "LineString", "coordinates": line},
            },
        ],
    }  # fmt: skip
    features, mistakes = read_features(json.dumps(document), file="a.geojson")
    assert mistakes == []
    area, corridor = features[0].shape, features[1].shape
    assert isinstance(area, Area) and isinstance(corridor, Corridor)
    assert area.polygons[0][0][1:3, 0].tolist() == [side * 180, side * 180]
    assert corridor.lines[0][1].tolist() == [side * 180, 1]


def test_what_came_is_quoted_without_its_control_characters() -> None:
    """They would move the cursor, or colour what follows."""
    said = str(Mistake("a.yaml", 1, 1, "odd", "x\x1b[2J\ty\n\u202ez"))
    assert said == "a.yaml:1:1: odd, got `x [2J y  z`"
