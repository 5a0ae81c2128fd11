"""The shipped Tokyo site: its files are right, by the product's own readers and by others'."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import shapely
from shapely.geometry import shape

from engine.ping import columns, decode_pings
from engine.settings import PingLimits
from engine.site import Site, read_site
from engine.step import Engine
from engine.wire import Happened, UserChanged
from nearcast.crowd import Crowd
from nearcast.folder import read_folder
from nearcast.town import town_of
from rules.facts import Kind, Reason
from rules.testing import run_tests

if TYPE_CHECKING:
    from rules.facts import Decision

SITE = Path(__file__).parents[2] / "examples" / "tokyo"
FENCE_FILES = ("stations", "wards", "stores")
#: Wednesday 2026-11-25, 17:00 in Tokyo.
FIVE_MS = 1_795_593_600_000


def features(name: str) -> list[dict[str, Any]]:
    return json.loads((SITE / "fences" / f"{name}.geojson").read_text("utf-8"))["features"]


def by_id(name: str) -> dict[str, dict[str, Any]]:
    return {feature["id"]: feature for feature in features(name)}


@pytest.mark.parametrize("name", FENCE_FILES)
def test_every_shape_is_valid_and_lies_in_tokyo(name: str) -> None:
    for feature in features(name):
        geometry = shape(feature["geometry"])
        assert geometry.is_valid, f"{feature['id']}: {shapely.is_valid_reason(geometry)}"
        west, south, east, north = geometry.bounds
        assert 139.5 < west <= east < 140.0 and 35.4 < south <= north < 35.9, feature["id"]


def test_ids_are_slugs_and_unique_over_fences_and_zones() -> None:
    zones = re.findall(r"\{id: ([^,]+),", (SITE / "beacons" / "store.yaml").read_text("utf-8"))
    ids = [feature["id"] for name in FENCE_FILES for feature in features(name)] + zones

    assert len(zones) == 12
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", id) for id in ids)


def test_the_wards_are_the_23_and_do_not_overlap() -> None:
    wards = [shape(feature["geometry"]) for feature in features("wards")]

    assert len(wards) == 23
    assert shapely.union_all(wards).area == pytest.approx(sum(ward.area for ward in wards), rel=1e-3)


def test_each_station_lies_in_the_ward_that_is_its_group() -> None:
    wards = {id: shape(ward["geometry"]) for id, ward in by_id("wards").items()}
    stations = features("stations")

    assert len(stations) > 400
    for station in stations:
        properties = station["properties"]
        assert wards[properties["group"]].covers(shape(station["geometry"])), station["id"]
        assert properties["tags"] == ["station", *properties["lines"]]
        assert properties["name"] and properties["name_ja"] and properties["radius_m"] in (250, 350)


def test_shinjuku_holds_the_point_of_the_interface_s_example() -> None:
    shinjuku = by_id("stations")["shinjuku"]
    lng, lat = shinjuku["geometry"]["coordinates"]
    away_m = ((139.700258 - lng) * 90_600) ** 2 + ((35.690921 - lat) * 110_950) ** 2

    assert away_m**0.5 < shinjuku["properties"]["radius_m"] / 2


def test_the_department_store_stands_beside_the_station_round_an_inner_court() -> None:
    store = shape(by_id("stores")["store-shinjuku"]["geometry"])
    court = shapely.Polygon(store.interiors[0])

    assert len(store.interiors) == 1
    assert not store.covers(court.centroid)
    assert shapely.Polygon(store.exterior).covers(court.centroid)


def test_the_files_are_small_and_have_one_feature_a_line_with_six_digits() -> None:
    paths = [SITE / "fences" / f"{name}.geojson" for name in FENCE_FILES]

    assert sum(path.stat().st_size for path in paths) < 600_000
    for path in paths:
        lines = path.read_text("utf-8").splitlines()
        assert lines[0] == '{"type": "FeatureCollection", "features": [' and lines[-1] == "]}"
        assert [json.loads(line.rstrip(","))["id"] for line in lines[1:-1]] == [f["id"] for f in features(path.stem)]
        assert not re.search(r"\d\.\d{7}", path.read_text("utf-8"))


def test_the_sources_and_their_licences_are_named() -> None:
    sources = (SITE / "SOURCES.md").read_text("utf-8")

    for name in FENCE_FILES:
        assert f"`fences/{name}.geojson`" in sources
    assert "Permission is hereby granted" in sources and "国土数値情報" in sources


# the product's own readers, and the demo's moment


@pytest.fixture(scope="module")
def site() -> Site:
    site, mistakes = read_site(read_folder(SITE, warn=None))
    assert not mistakes, "\n".join(map(str, mistakes))
    assert site is not None
    return site


def test_the_site_has_no_mistakes_and_all_places(site: Site) -> None:
    assert len(site.fences) == sum(len(features(name)) for name in FENCE_FILES)
    assert len(site.zones) == 12
    assert {place.timezone for place in site.places.values()} == {"Asia/Tokyo"}


def test_every_rule_has_tests_of_its_own_and_they_hold(site: Site) -> None:
    assert [rule.id for rule in site.rules.rules if not rule.tests] == []
    assert run_tests(site.rules) == []


def test_the_rules_show_the_language(site: Site) -> None:
    rules = site.rules.rules

    assert {trigger.kind for rule in rules for trigger in rule.triggers} == set(Kind)
    assert {rule.state for rule in rules} == {"live", "test", "draft"}


def test_every_message_is_there_in_japanese_and_english(site: Site) -> None:
    assert {tuple(template.words) for template in site.rules.templates.values()} == {("ja", "en")}


def test_a_crowd_gets_its_messages_within_seconds_after_five(site: Site) -> None:
    start_ms = 1_795_593_570_000
    crowd = Crowd(1, town=town_of(site.files), start_ms=start_ms, people=1_000)
    engine = Engine(site, start_ms)
    engine.step([UserChanged(body.pop("id"), **body) for body in map(dict, crowd.users())], start_ms)
    decisions: list[Decision] = []
    for second in range(1, 61):
        now_ms = start_ms + second * 1_000
        batch = crowd.step(now_ms)
        body = msgspec.json.encode(batch.pings + batch.sightings)
        decoded = decode_pings(body, ndjson=False, now_ms=now_ms, limits=PingLimits())
        assert not decoded.rejected
        events = [Happened(e["user"], e["id"], e["type"], e["time"], e["data"]) for e in batch.events]
        decisions += engine.step([columns([decoded.rows]), *events], now_ms).decisions
    sale = [d for d in decisions if d.rule == "shinjuku-wed-timesale"]
    sent = [d for d in sale if d.reason is Reason.SENT]

    assert not [d for d in sent if d.time_ms < FIVE_MS]
    assert len([d for d in sent if d.occasion.kind is Kind.TIMER and d.time_ms < FIVE_MS + 2_000]) >= 10
    assert len([d for d in sent if d.occasion.kind is Kind.ENTERED]) >= 5
    assert {Reason.WINDOW, Reason.AUDIENCE, Reason.CONSENT} <= {d.reason for d in sale}
    assert {m.locale for d in sent for m in d.messages} == {"ja", "en"}
    assert {d.rule for d in decisions if d.reason is Reason.SENT} >= {"restaurant-floor-welcome", "purchase-thank-you"}
