"""Beacon zones: `beacons/*.yaml` as values.

Owns how beacons are named, in a zone and in a sighting, and what a zone may say. Must not know how a zone is entered.
Strengths are RSSI in dBm, durations milliseconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from geo.mistake import did_you_mean
from rules.place import Place, PlaceKind
from rules.reader import read_documents
from rules.scalars import Anything, Duration, Number, Text
from rules.scalars import Zone as ZoneName
from rules.shapes import Desk, Fields, Key, Listing, Record, Shape, Table

if TYPE_CHECKING:
    from geo.mistake import Mistake
    from rules.node import Node
    from rules.shapes import Json

ENTER_RSSI: Final = -75.0
EXIT_RSSI: Final = -85.0
EXIT_AFTER_MS: Final = 30_000
RSSI_MIN, RSSI_MAX = -127.0, 20.0
ID_MAX: Final = 256

_UUID = re.compile(r"([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{12})")
_KINDS = {
    "ibeacon": "ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:17:4",
    "eddystone": "eddystone:edd1ebeac04e5defa017:0123456789ab",
    "gateway": "gateway:door-3",
}


@dataclass(frozen=True, slots=True)
class Zone:
    """A named set of beacons. `beacons` are in normal form, `*` stands for any last part."""

    place: Place
    beacons: tuple[str, ...]
    enter_rssi: float = ENTER_RSSI
    exit_rssi: float = EXIT_RSSI
    exit_after_ms: int = EXIT_AFTER_MS

    @property
    def inside(self) -> str | None:
        """The id of the fence that it lies in."""
        return self.place.inside


def normal_beacon(beacon: str) -> str | None:
    """The normal form of a beacon's id or pattern: what is heard and what is written must meet. None: of no known form.

    Hex in lower case, a UUID with its dashes, major and minor without leading zeros; what a gateway is called stays.

    >>> normal_beacon("iBeacon:F7826DA64FA24E988024BC5B71E0893E:017:*")
    'ibeacon:f7826da6-4fa2-4e98-8024-bc5b71e0893e:17:*'
    >>> normal_beacon("gateway:Door-3"), normal_beacon("mac:00")
    ('gateway:Door-3', None)
    """
    kind, _, rest = beacon.strip().partition(":")
    kind = kind.lower()
    if kind == "gateway":
        return f"gateway:{rest}" if rest and rest == rest.strip() else None
    parts = rest.lower().split(":")
    if kind == "ibeacon" and len(parts) == 3:
        uuid = _UUID.fullmatch(parts[0])
        major, minor = (_short(part) for part in parts[1:])
        if uuid is None or major is None or minor is None or (major == "*" and minor != "*"):
            return None
        return f"ibeacon:{'-'.join(uuid.groups())}:{major}:{minor}"
    if kind == "eddystone" and len(parts) == 2:
        good = re.fullmatch(r"[0-9a-f]{20}", parts[0]) and re.fullmatch(r"[0-9a-f]{12}|\*", parts[1])
        return f"eddystone:{parts[0]}:{parts[1]}" if good else None
    return None


def _short(part: str) -> str | None:
    """A major or minor number, 0 to 65535, or `*`."""
    if part == "*":
        return part
    if not re.fullmatch(r"[0-9]{1,8}", part) or int(part) > 0xFFFF:
        return None
    return str(int(part))


class BeaconPattern(Shape[str]):
    """One beacon, or `*` for all that share the parts before it."""

    def read(self, node: Node, desk: Desk) -> str | None:
        text = node.value
        normal = normal_beacon(text) if isinstance(text, str) and len(text) <= ID_MAX else None
        if normal is not None:
            return normal
        kind = text.partition(":")[0].lower() if isinstance(text, str) else ""
        if kind in _KINDS:
            desk.needs(node, f"a beacon such as `{_KINDS[kind]}`", "a `*` may stand for the last parts")
        else:
            desk.needs(node, f"a beacon such as `{_KINDS['ibeacon']}`", did_you_mean(kind, _KINDS) if kind else "")
        return None

    def schema(self) -> Json:
        return {
            "type": "string",
            "pattern": "^(?:[iI][bB]eacon|[eE]ddystone|gateway):.+",
            "examples": [*_KINDS.values()],
        }


def _build(record: Record) -> Zone:
    enter, leave = record.get("enter_rssi", ENTER_RSSI), record.get("exit_rssi", EXIT_RSSI)
    if leave > enter:
        weaker = (
            "write a weaker (lower) one, such as `-85`"
            if record.has("exit_rssi")
            else f"add `exit_rssi: {enter - 10:g}`"
        )
        at = "exit_rssi" if record.has("exit_rssi") else "enter_rssi"
        record.wrong(
            at, f"leaves at {leave:g} dBm, stronger than it enters at {enter:g}", weaker, got=record.at(at).shown
        )
    beacons: list[str] = record.get("beacons", [])
    for number, beacon in enumerate(beacons):
        if beacon in beacons[:number]:
            node = record.at("beacons").value[number]
            record.desk.wrong(node, "is in this zone already", "take it out", got=node.shown)
            record.complete = False
    tags = record.get("tags", [])
    place = Place(
        id=record.get("id", ""),
        kind=PlaceKind.ZONE,
        name=record.get("name", record.get("id", "")),
        tags=frozenset(tags),
        group=record.get("group"),
        timezone=record.get("timezone"),
        data=record.get("data", {}),
        inside=record.get("inside"),
    )
    return Zone(
        place=place,
        beacons=tuple(sorted(set(beacons))),
        enter_rssi=float(enter),
        exit_rssi=float(leave),
        exit_after_ms=record.get("exit_after", EXIT_AFTER_MS),
    )


_ID = Text(most=128)
ZONE: Final = Fields(
    "a beacon zone",
    {
        "id": Key(_ID, "what rules call it; unique over fences and zones", required=True),
        "name": Key(Text(most=256), "what people call it; a field for templates"),
        "tags": Key(Listing(_ID, least=0), "rules may point at all places with a tag"),
        "group": Key(_ID, "a device is in at most one zone of a group"),
        "timezone": Key(ZoneName(), "an IANA name; else that of the fence in `inside`, else the site's"),
        "beacons": Key(
            Listing(BeaconPattern()),
            "`ibeacon:UUID:MAJOR:MINOR`, `eddystone:NAMESPACE:INSTANCE` or `gateway:ID`; `*` for any last part",
            required=True,
        ),
        "enter_rssi": Key(Number(RSSI_MIN, RSSI_MAX), "dBm; enters on two sightings at least so strong (-75)"),
        "exit_rssi": Key(Number(RSSI_MIN, RSSI_MAX), "dBm; what is weaker does not keep a device in (-85)"),
        "exit_after": Key(Duration("30s"), "exits when nothing so strong was seen for so long (30s)"),
        "inside": Key(_ID, "the fence that this zone lies in: being in the zone counts as a fix surely in it"),
        "data": Key(Table(Anything(), pattern=r"^\S+$", example="floor"), "free data, for templates"),
    },
    _build,
    always=True,
    doc="A named set of beacons.",
)
ZONES: Final = Listing(ZONE, least=0, most=100_000)


def beacons_schema() -> Json:
    """The JSON Schema of a file in `beacons/`."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "beacons/*.yaml"} | ZONES.schema()


def read_beacons(text: str | bytes, *, file: str) -> tuple[list[tuple[Zone, Node]], list[Mistake]]:
    """The zones of one file, each with the node it stands in, and all the file's mistakes.

    >>> zones, mistakes = read_beacons("- {id: hall, beacons: ['gateway:*']}", file="beacons/a.yaml")
    >>> zones[0][0].beacons, mistakes
    (('gateway:*',), [])
    """
    documents, mistakes = read_documents(text, file=file)
    desk = Desk(mistakes)
    found: list[tuple[Zone, Node]] = []
    for document in documents:
        if not document.is_list:
            desk.needs(document, "a list of beacon zones", "write `- ` before each")
            continue
        for node in document.value:
            zone = ZONE.read(node, desk)
            if zone is not None:
                found.append((zone, node))
    return found, sorted(desk.mistakes)
