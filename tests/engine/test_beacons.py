"""Beacon zones: how beacons are named, and what a zone may say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.beacons import Zone, beacons_schema, normal_beacon, read_beacons
from rules.place import Place, PlaceKind

UUID = "f7826da6-4fa2-4e98-8024-bc5b71e0893e"
GOOD = f"""
- {{id: shinjuku-b1-food, name: Food hall, tags: [food-hall], group: dept-shinjuku, timezone: Asia/Tokyo,
   beacons: ["ibeacon:{UUID.upper()}:17:*", "eddystone:EDD1EBEAC04E5DEFA017:0123456789ab"],
   enter_rssi: -70, exit_rssi: -90.5, exit_after: 1m, inside: store-shinjuku, data: {{floor: B1}}}}
- {{id: door, beacons: ["gateway:*"]}}
"""


def lines(text: str) -> list[str]:
    return [str(mistake) for mistake in read_beacons(text, file="beacons/a.yaml")[1]]


def test_a_zone_is_read_with_its_beacons_in_normal_form_and_its_defaults() -> None:
    zones, mistakes = read_beacons(GOOD, file="beacons/a.yaml")
    assert mistakes == []
    assert [zone for zone, _ in zones] == [
        Zone(
            Place(
                "shinjuku-b1-food",
                PlaceKind.ZONE,
                name="Food hall",
                tags=frozenset({"food-hall"}),
                group="dept-shinjuku",
                timezone="Asia/Tokyo",
                data={"floor": "B1"},
                inside="store-shinjuku",
            ),
            ("eddystone:edd1ebeac04e5defa017:0123456789ab", f"ibeacon:{UUID}:17:*"),
            enter_rssi=-70.0,
            exit_rssi=-90.5,
            exit_after_ms=60_000,
        ),
        Zone(Place("door", PlaceKind.ZONE, name="door"), ("gateway:*",), -75.0, -85.0, 30_000),
    ]


@pytest.mark.parametrize(
    ("beacon", "normal"),
    [
        (f"ibeacon:{UUID}:17:4", f"ibeacon:{UUID}:17:4"),
        (f"iBeacon:{UUID.replace('-', '').upper()}:0017:00004", f"ibeacon:{UUID}:17:4"),
        (f"ibeacon:{UUID}:*:*", f"ibeacon:{UUID}:*:*"),
        (f"ibeacon:{UUID}:65535:0", f"ibeacon:{UUID}:65535:0"),
        (f"ibeacon:{UUID}:65536:0", None),
        (f"ibeacon:{UUID}:*:4", None),
        (f"ibeacon:{UUID}:17", None),
        (f"ibeacon:{UUID[1:]}:17:4", None),
        ("ibeacon:*:*:*", None),
        ("eddystone:EDD1EBEAC04E5DEFA017:*", "eddystone:edd1ebeac04e5defa017:*"),
        ("eddystone:edd1ebeac04e5defa017:0123", None),
        ("gateway:North Door", "gateway:North Door"),
        ("gateway:", None),
        ("gateway: x", None),
        ("wifi:aa", None),
        ("", None),
    ],
)
def test_what_is_heard_and_what_is_written_meet_in_one_form(beacon: str, normal: str | None) -> None:
    assert normal_beacon(beacon) == normal


@given(st.text(max_size=80))
def test_a_normal_form_is_its_own_normal_form(beacon: str) -> None:
    normal = normal_beacon(beacon)
    assert normal is None or normal_beacon(normal) == normal


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("id: x", "1:1: needs a list of beacon zones, got `a mapping`, write `- ` before each"),
        ("- {id: a}", "1:3: `[0]` needs `beacons`, add `beacons:`"),
        (
            "- {id: a, beacon: ['gateway:1'], beacons: ['gateway:1']}",
            "1:11: `[0].beacon` is not a known key, did you mean `beacons`?",
        ),
        (
            "- {id: a, beacons: ['ibecon:1']}",
            f"1:21: `[0].beacons[0]` needs a beacon such as `ibeacon:{UUID}:17:4`, got `ibecon:1`, "
            "did you mean `ibeacon`?",
        ),
        (
            "- {id: a, beacons: ['eddystone:1']}",
            "1:21: `[0].beacons[0]` needs a beacon such as `eddystone:edd1ebeac04e5defa017:0123456789ab`, "
            "got `eddystone:1`, a `*` may stand for the last parts",
        ),
        (
            "- {id: a, beacons: ['gateway:1'], enter_rssi: -90}",
            "1:47: `[0].enter_rssi` leaves at -85 dBm, stronger than it enters at -90, got `-90`, "
            "add `exit_rssi: -100`",
        ),
        (
            "- {id: a, beacons: ['gateway:1'], exit_rssi: -60}",
            "1:46: `[0].exit_rssi` leaves at -60 dBm, stronger than it enters at -75, got `-60`, "
            "write a weaker (lower) one, such as `-85`",
        ),
        (
            f"- {{id: a, beacons: ['ibeacon:{UUID}:1:1', 'iBeacon:{UUID}:01:1']}}",
            f"1:73: `[0].beacons[1]` is in this zone already, got `iBeacon:{UUID}:01:1`, take it out",
        ),
        ("- {id: a, beacons: []}", "1:20: `[0].beacons` needs at least 1"),
        ("- {id: a, beacons: ['gateway:1'], exit_after: 30}", "1:47: `[0].exit_after` needs a duration such as `30s`"),
    ],
)
def test_a_mistake_says_where_what_and_how_to_mend_it(text: str, line: str) -> None:
    found = lines(text)
    assert len(found) == 1
    assert found[0].startswith(f"beacons/a.yaml:{line}")


def test_a_zone_with_a_mistake_does_not_harm_its_neighbours() -> None:
    zones, mistakes = read_beacons(
        "- {id: a}\n- {id: b, beacons: ['gateway:1']}\n- {beacons: [7]}\n", file="beacons/a.yaml"
    )
    assert [zone.place.id for zone, _ in zones] == ["b"]
    assert [mistake.line for mistake in mistakes] == [1, 3, 3]


def test_the_schema_takes_what_the_reader_takes() -> None:
    schema = beacons_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    good = [{"id": "a", "beacons": [f"ibeacon:{UUID}:1:*"], "exit_after": "30s"}]
    assert list(validator.iter_errors(good)) == []
    assert list(validator.iter_errors([{"id": "a", "beacons": [], "rssi": 1}]))
