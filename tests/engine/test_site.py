"""A site from its files' bytes: all of it, all mistakes at once, and a map that outlives a change of rules."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.detection import Detection
from engine.fences import inner_point, read_fences
from engine.site import Site, read_site
from engine.site_draft import read_draft, site_version
from geo.shape import Circle
from rules.place import Place, PlaceKind

SQUARE = {"type": "Polygon", "coordinates": [[[139.70, 35.69], [139.71, 35.69], [139.71, 35.70], [139.70, 35.69]]]}
EDITS = st.one_of(st.binary(max_size=4), st.sampled_from([b"{", b"null", b"1e999", b"\n", b": ", b'"', b"&a ", b"- "]))
POINT = {"type": "Point", "coordinates": [139.7, 35.69]}


def feature(fence: str, geometry: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    if geometry is None:
        geometry, properties = POINT, {"radius_m": 50, **properties}
    return {"type": "Feature", "id": fence, "properties": properties, "geometry": geometry}


def collection(*features: dict[str, Any]) -> bytes:
    lines = ",\n".join(json.dumps(f) for f in features)
    return f'{{"type": "FeatureCollection", "features": [\n{lines}\n]}}'.encode()


RULE = b"""id: hello
state: live
trigger: {event: entered, place: {id: shop}}
audience: {all: [{consent: location_marketing}]}
actions: [{push: {template: hello}}]
"""
TEMPLATE = b"en: {title: Hello, body: 'Welcome to {place.name}, floor {place.floor}'}\n"
ZONES = b"- {id: hall, group: g, beacons: ['gateway:1'], inside: shop}\n- {id: attic, beacons: ['gateway:1']}\n"


def good() -> dict[str, bytes]:
    return {
        "nearcast.yaml": b"timezone: Europe/Paris\ndetection: {enter_fixes: 3}\n",
        "fences/b.geojson": collection(feature("shop", floor=2, name="The Shop", tags=["a"], group="g")),
        "fences/a.geojson": collection(
            feature("zoo", SQUARE), feature("bar", detection={"preset": "instant"}, timezone="Asia/Seoul")
        ),
        "beacons/a.yaml": ZONES,
        "rules/a.yaml": RULE,
        "templates/hello.yaml": TEMPLATE,
    }


def site_of(files: dict[str, bytes], previous: Site | None = None) -> Site:
    site, mistakes = read_site(files, previous=previous.map if previous else None)
    assert site is not None, [str(mistake) for mistake in mistakes]
    return site


def lines(files: dict[str, bytes]) -> list[str]:
    site, mistakes = read_draft(files)
    assert (site is None) == bool(mistakes)
    return [str(mistake) for mistake in mistakes]


def test_a_site_of_no_files_is_a_site() -> None:
    site = site_of({})
    assert (site.fences, site.zones, dict(site.places), site.rules.rules) == ((), (), {}, ())


def test_places_come_in_order_of_their_ids_with_all_that_the_files_say() -> None:
    site = site_of(good())
    assert [fence.place.id for fence in site.fences] == ["bar", "shop", "zoo"]
    assert [zone.place.id for zone in site.zones] == ["attic", "hall"]
    assert list(site.places) == ["attic", "bar", "hall", "shop", "zoo"]
    assert site.places["shop"] == Place(
        "shop", PlaceKind.FENCE, "The Shop", frozenset({"a"}), "g", "Asia/Tokyo", {"floor": 2}
    )
    assert site.fences[1].shape == Circle(35.69, 139.7, 50.0)


def test_a_fence_lies_over_the_sites_detection() -> None:
    site = site_of(good())
    assert [fence.detection for fence in site.fences] == [
        Detection(enter_fixes=1, exit_fixes=1, instant=True),
        Detection(enter_fixes=3),
        Detection(enter_fixes=3),
    ]


def test_a_fence_that_counts_leaves_the_sites_preset() -> None:
    files = {
        "nearcast.yaml": b"detection: {preset: instant, silence: 1h}",
        "fences/a.geojson": collection(feature("a"), feature("b", detection={"enter_fixes": 4})),
    }
    assert [fence.detection for fence in site_of(files).fences] == [
        Detection(1, 1, silence_ms=3_600_000, instant=True),
        Detection(4, 2, silence_ms=3_600_000),
    ]


def test_the_time_zone_is_the_authors_else_the_positions_and_a_zones_that_of_its_fence() -> None:
    site = site_of(good())
    zones = {place.id: place.timezone for place in site.places.values()}
    assert zones == {
        "attic": None,
        "bar": "Asia/Seoul",
        "hall": "Asia/Tokyo",
        "shop": "Asia/Tokyo",
        "zoo": "Asia/Tokyo",
    }


def test_a_change_of_rules_keeps_the_map_and_a_change_of_fences_does_not() -> None:
    first = site_of(good())
    rules = site_of({**good(), "rules/a.yaml": RULE.replace(b"hello\n", b"hullo\n", 1)}, first)
    assert rules.index is first.index
    assert rules.borders is first.borders
    assert rules.version != first.version
    assert [rule.id for rule in rules.rules.rules] == ["hullo"]
    defaults = site_of({**good(), "nearcast.yaml": b""}, first)
    assert defaults.index is first.index
    assert defaults.fences[1].detection == Detection()
    moved = site_of(
        {**good(), "fences/b.geojson": collection(feature("shop", radius_m=60, geometry=POINT, floor=1))}, first
    )
    assert moved.index is not first.index
    assert [fence.shape for fence in moved.fences][1] == Circle(35.69, 139.7, 60.0)


def test_an_edit_of_few_fences_shares_the_map_and_says_what_a_new_one_says() -> None:
    def at(n: int, radius_m: int) -> dict[str, Any]:
        point = {"type": "Point", "coordinates": [139.7 + n * 1e-3, 35.69]}
        return feature(f"f{n:03}", radius_m=radius_m, geometry=point, timezone="Asia/Tokyo")

    fences = [at(n, 60 + n % 40) for n in range(300)]
    first = site_of({"fences/a.geojson": collection(*fences[:200]), "fences/b.geojson": collection(*fences[200:])})
    fences[7:9] = [at(7, 400)]
    files = {"fences/a.geojson": collection(*fences[:199], at(900, 50)), "fences/b.geojson": collection(*fences[199:])}
    edited, anew = site_of(files, first), site_of(files)
    lat, lng = np.full(500, 35.69), np.linspace(139.69, 140.61, 500)
    for mine, other in zip(edited.index.match(lat, lng), anew.index.match(lat, lng), strict=True):
        assert mine.tolist() == other.tolist()
    shapes = {fence.place.id: fence.shape for fence in first.fences}
    changed = [f.place.id for f in edited.fences if shapes.get(f.place.id) is not f.shape]
    assert changed == ["f007", "f900"]
    assert edited.index.version.filled is first.index.version.filled
    numbers, points = np.arange(len(edited.fences)), (np.full(300, 35.69), np.full(300, 139.7))
    assert len(numbers) == 300
    told = edited.borders.signed_distance_m(numbers, *points)
    assert told.tolist() == anew.borders.signed_distance_m(numbers, *points).tolist()
    renamed = site_of({**files, "fences/c.geojson": collection(at(950, 70))}, edited)
    assert renamed.fences[0] is not edited.fences[0]
    assert renamed.fences[0].shape is edited.fences[0].shape


def test_an_edit_of_many_fences_makes_the_index_anew() -> None:
    def city(radius_m: int) -> dict[str, bytes]:
        return {"fences/a.geojson": collection(*(feature(f"f{n}", radius_m=radius_m + n) for n in range(250)))}

    first = site_of(city(50))
    second = site_of(city(51), first)
    assert second.index.version.filled is not first.index.version.filled


def test_the_version_is_of_the_files_that_matter_alone() -> None:
    files = good()
    assert site_version(files) == site_version({**files, "README.md": b"x", "fences/x.txt": b"y", "var/n.db": b"z"})
    assert site_version(files) != site_version({**files, "rules/a.yaml": files["rules/a.yaml"] + b"#"})
    assert site_version({"rules/a.yaml": b"x"}) != site_version({"rules/b.yaml": b"x"})
    assert list(site_of({**files, "README.md": b"x"}).files) == sorted(files)


def test_ten_mistakes_in_ten_places_are_ten_lines_each_at_its_place_with_a_mend() -> None:
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    files = {
        "nearcast.yaml": b"timezone: Asia/Tokio\nping: {max_age: 24}\n",
        "fences/a.geojson": collection(
            feature("shop", floor=1),
            feature("bow", bow),
            feature("typo", detection={"enter_fixs": 1}),
            feature("taken"),
        ),
        "fences/b.geojson": collection(feature("taken")),
        "beacons/a.yaml": b"- {id: hall, beacons: ['ibecon:1'], inside: shop}\n"
        b"- {id: attic, beacons: ['gateway:1'], inside: shoop}\n",
        "rules/a.yaml": RULE.replace(b"id: shop", b"id: shp").replace(b"trigger", b"triger"),
        "rules/c.yaml": RULE.replace(b"hello", b"three", 1)
        .replace(b"shop", b"shp")
        .replace(b"template: hello", b"title: T, body: B"),
        "rules/b.yaml": RULE.replace(b"id: hello", b"id: two").replace(b"push", b"puch"),
        "templates/hello.yaml": TEMPLATE.replace(b"place.name", b"place.nam"),
    }
    found = lines(files)
    wanted = [
        ("beacons/a.yaml:1:24: `[0].beacons[0]` needs a beacon such as", "did you mean `ibeacon`?"),
        ("beacons/a.yaml:2:47: `inside` names no fence, got `shoop`", "did you mean `shop`?"),
        ("fences/a.geojson:3:", ""),
        (
            "fences/a.geojson:4:94: fence `typo`: `detection.enter_fixs` is not a known key",
            "did you mean `enter_fixes`?",
        ),
        ("fences/b.geojson:2:1: this id is taken by a place on fences/a.geojson line 5, got `taken`", "choose another"),
        ("nearcast.yaml:1:11: `timezone` needs an IANA time zone", "did you mean `Asia/Tokyo`?"),
        ("nearcast.yaml:2:17: `ping.max_age` needs a duration such as `24h`, got `24`", "add a unit"),
        ("rules/a.yaml:3:1: `triger` is not a known key", "did you mean `trigger`?"),
        ("rules/b.yaml:5:29: `actions[0].puch.template` uses `{place.nam}`", "did you mean `place.name`?"),
        ("rules/c.yaml:3:39: ", "did you mean `shop`?"),
    ]
    assert len(found) == len(wanted), "\n".join(found)
    for line, (begins, ends) in zip(found, wanted, strict=True):
        assert line.startswith(begins), "\n".join(found)
        assert line.endswith(ends), line


def test_a_mistake_in_a_property_stands_where_the_property_stands() -> None:
    text = b"""{"type": "FeatureCollection", "features": [
  {"type": "Feature", "id": "a",
   "geometry": {"type": "Point", "coordinates": [1, 2]},
   "properties": {
     "radius_m": 50,
     "name": null,
     "tags": ["x", 7.5],
     "detection": {
       "silence": 30
     }
   }}
]}"""
    drafts, mistakes = read_fences(text, file="f")
    assert drafts == []
    assert [str(mistake) for mistake in mistakes] == [
        "f:7:20: fence `a`: `tags[1]` needs a text, got `7.5`, put it in quotes",
        "f:9:19: fence `a`: `detection.silence` needs a duration such as `30m`, got `30`, add a unit",
    ]


def test_what_points_at_a_broken_place_is_not_at_fault_itself() -> None:
    files = good()
    files["fences/b.geojson"] = files["fences/b.geojson"].replace(b'"radius_m": 50', b'"radius_m": "wide"')
    assert [line.partition(":")[0] for line in lines(files)] == ["fences/b.geojson"]
    files["fences/b.geojson"] = b'{"features": [{"id": "shop", "properties": {"tags": ["a"]}'
    assert [line.partition(":")[0] for line in lines(files)] == ["fences/b.geojson"]
    files = {**good(), "beacons/a.yaml": b"- {id: hall, beacons: []}\n"}
    files["rules/a.yaml"] = RULE.replace(b"id: shop", b"id: hall")
    files["templates/hello.yaml"] = TEMPLATE.replace(b", floor {place.floor}", b"")
    assert [line.partition(":")[0] for line in lines(files)] == ["beacons/a.yaml"]


def test_ids_are_unique_over_fences_and_zones() -> None:
    files = {**good(), "beacons/b.yaml": b"- {id: zoo, beacons: ['gateway:2']}\n"}
    assert lines(files) == [
        "beacons/b.yaml:1:8: this id is taken by a place on fences/a.geojson line 2, got `zoo`, choose another"
    ]


def test_a_zone_cannot_lie_in_a_zone() -> None:
    files = {**good(), "beacons/b.yaml": b"- {id: nook, beacons: ['gateway:2'], inside: hall}\n"}
    assert lines(files) == [
        "beacons/b.yaml:1:46: `inside` names a beacon zone, got `hall`, name the fence that both lie in"
    ]


def test_two_zones_of_a_group_cannot_share_a_beacon_but_those_of_two_groups_can() -> None:
    shared = b"- {id: %s, group: %s, beacons: ['gateway:9', 'gateway:1']}\n"
    files = {**good(), "beacons/b.yaml": shared % (b"nook", b"h")}
    assert lines(files) == []
    files["beacons/b.yaml"] = shared % (b"nook", b"g")
    assert lines(files) == [
        "beacons/b.yaml:1:33: zone `hall` of the same group has this beacon too, so the two can never be told apart, "
        "got `gateway:1`, take it out of one, or out of the group"
    ]


@pytest.mark.parametrize(
    ("properties", "line"),
    [
        ({"name": 7}, None),
        ({"name": {"ja": "x"}}, "`name` needs a text, got `a mapping`"),
        ({"tags": "food"}, "`tags` needs a list"),
        ({"timezone": "Tokyo"}, "`timezone` needs an IANA time zone such as `Asia/Tokyo`, got `Tokyo`"),
        ({"detection": {"preset": "instant", "max_accuracy": "10m"}}, "`detection.max_accuracy` has no meaning beside"),
        ({"detection": {"max_accuracy": 10}}, "`detection.max_accuracy` needs a distance such as `200m`, got `10`"),
        ({"detection": {"enter_fixes": 1.5}}, "`detection.enter_fixes` needs a whole number, got `1.5`"),
        ({"detection": []}, "`detection` needs a mapping of keys to values, got `[]`"),
        ({"group": None, "tags": None, "anything": {"else": [1, None]}}, None),
    ],
)
def test_the_properties_that_mean_something_are_judged_and_the_others_are_free(
    properties: dict[str, Any], line: str | None
) -> None:
    drafts, mistakes = read_fences(collection(feature("a", **properties)), file="f")
    if line is None:
        assert mistakes == []
        assert len(drafts) == 1
    else:
        assert len(mistakes) == 1
        assert mistakes[0].what.startswith(f"fence `a`: {line}") or str(mistakes[0]).startswith(
            f"f:2:{mistakes[0].column}: fence `a`: {line}"
        )


def test_the_inner_point_of_a_fence_lies_in_it() -> None:
    ring = [[0, 0], [4, 0], [4, 4], [0, 4], [0, 0]]
    hole = [[1, 1], [3, 1], [3, 3], [1, 3], [1, 1]]
    cup = [[0, 0], [3, 0], [3, 3], [2, 3], [2, 1], [1, 1], [1, 3], [0, 3], [0, 0]]
    shapes = [
        feature("c", {"type": "Polygon", "coordinates": [ring, hole]}),
        feature("u", {"type": "Polygon", "coordinates": [cup]}),
        feature("l", {"type": "LineString", "coordinates": [[5, 5], [6, 6], [7, 5]]}, buffer_m=10),
    ]
    site = site_of({"fences/a.geojson": collection(*shapes)})
    for number, fence in enumerate(site.fences):
        lat, lng = inner_point(fence.shape)
        _, found = site.index.match(np.array([lat]), np.array([lng]))
        assert number in found.tolist(), fence.place.id


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_mutated_site_is_good_or_has_mistakes_and_never_crashes(data: st.DataObject) -> None:
    files = good()
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(files)))
        text = bytearray(files[path])
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 8))] = data.draw(
            st.one_of(
                st.binary(max_size=4), st.sampled_from([b"{", b"null", b"1e999", b"\n", b": ", b'"', b"&a ", b"- "])
            )
        )
        files[path] = bytes(text)
    draft, mistakes = read_draft(files)
    assert (draft is None) == bool(mistakes)
    assert mistakes == sorted(mistakes)
    for mistake in mistakes:
        assert mistake.file in files
        assert mistake.line >= 1
        assert mistake.column >= 1
        assert "\n" not in str(mistake)
