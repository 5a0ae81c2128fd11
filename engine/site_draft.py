"""A site read and judged from its files' bytes, without the index that makes it run.

Owns what the files must be together: ids unique over fences and zones, `inside` a fence, rules on places and channels
that there are. All mistakes of all files come out at once. Must not know the disk.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING

from engine.beacons import read_beacons
from engine.fences import read_fences
from engine.settings import SETTINGS_FILE
from engine.settings_file import read_settings
from geo.mistake import Mistake, did_you_mean
from geo.shape import same_shape
from geo.uncollected import uncollected
from rules.place import Place, PlaceKind
from rules.ruleset import read_rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.beacons import Zone
    from engine.fences import FenceDraft
    from engine.settings import Settings
    from engine.site_map import SiteMap
    from rules.model import Rule
    from rules.node import Node
    from rules.ruleset import RuleSet

_OURS = re.compile(r"nearcast\.yaml|fences/[^/]+\.geojson|(?:beacons|rules|templates)/[^/]+\.yaml")
_PLACE_FIELD = re.compile(rb"\{place\.([A-Za-z0-9_-]+)")
_WORD = re.compile(r'"([^"\\\n]{1,128})"|([^\s,\[\]{}"\']{1,128})')
#: Of a broken file with more different words, rules that point at its places are told so.
_WORDS_MAX = 1_000_000
_EVER_MS = 1 << 62


@dataclass(frozen=True, slots=True)
class Draft:
    """A site whose files are without mistakes. `fences` and `zones` are ascending by id.

    `digests` are those of the files of fences, by path.
    """

    version: str
    files: Mapping[str, bytes]
    settings: Settings
    fences: tuple[FenceDraft, ...]
    digests: Mapping[str, bytes]
    zones: tuple[Zone, ...]
    places: Mapping[str, Place]
    rules: RuleSet


def site_version(files: Mapping[str, bytes]) -> str:
    """The version of a site: the same files, under the same names, are the same version, whatever else lies about.

    >>> site_version({}) == site_version({"notes.txt": b"x"})
    True
    """
    digest = sha256()
    for path, data in sorted(ours(files).items()):
        for part in (path.encode(), data):
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
    return digest.hexdigest()[:16]


def ours(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that make a site, ascending by path."""
    return {path: data for path, data in sorted(files.items()) if _OURS.fullmatch(path)}


@uncollected()
def read_draft(
    files: Mapping[str, bytes], *, known: SiteMap | None = None, was_in_force: bool = False
) -> tuple[Draft | None, list[Mistake]]:
    """The site that the files describe, or None and all their mistakes, in order of file, line and column.

    `was_in_force` is as `read_rules` has it. `known` is an earlier map: fences whose files are unchanged are taken from
    it, and of all others the shapes that are the same to the last bit. So whoever has both need not compare them again:
    the same is the very same.
    """
    files = ours(files)
    settings, mistakes = read_settings(files.get(SETTINGS_FILE, b""))
    reading = _Places(mistakes)
    before = _by_file(known)
    digests = {path: sha256(data).digest() for path, data in _below(files, "fences/").items()}
    for path, data in _below(files, "fences/").items():
        if known is not None and known.digests.get(path) == digests[path]:
            for fence in before.get(path, ()):
                reading.take_fence(fence)
        else:
            reading.read_fence_file(path, data)
    fences = reading.fences if known is None else _with_known_shapes(reading.fences, known)
    for path, data in _below(files, "beacons/").items():
        reading.read_zone_file(path, data)
    reading.settle()
    keep = settings.keep
    rules, wrong = read_rules(
        _below(files, "rules/"),
        _below(files, "templates/"),
        places=reading.all_there_may_be(files),
        channels=list(settings.channels),
        timezone=settings.timezone,
        test_users=settings.test_users,
        keep_ms={"pings": keep.pings_ms, "events": keep.events_ms, "decisions": keep.decisions_ms},
        was_in_force=was_in_force,
    )
    mistakes.extend(wrong)
    if mistakes or rules is None:
        return None, sorted(mistakes)
    return Draft(
        version=site_version(files),
        files=files,
        settings=settings,
        fences=tuple(sorted(fences, key=lambda fence: fence.place.id)),
        digests=digests,
        zones=tuple(sorted((zone for zone, _ in reading.zones), key=lambda zone: zone.place.id)),
        places=dict(sorted(reading.places.items())),
        rules=rules,
    ), []


def _by_file(known: SiteMap | None) -> dict[str, list[FenceDraft]]:
    """The fences of a map by the files that they are from."""
    found: dict[str, list[FenceDraft]] = {}
    for fence in known.fences if known is not None else ():
        found.setdefault(fence.file, []).append(fence)
    return found


def _with_known_shapes(fences: list[FenceDraft], known: SiteMap) -> list[FenceDraft]:
    """The fences; who has the shape that it had in `known` has that very one."""
    shapes = {fence.place.id: fence.shape for fence in known.fences}
    out = []
    for fence in fences:
        old = shapes.get(fence.place.id)
        same = old is not None and old is not fence.shape and same_shape(old, fence.shape)
        out.append(replace(fence, shape=old) if same and old is not None else fence)
    return out


def rules_alone(files: Mapping[str, bytes]) -> tuple[Rule, ...]:
    """The rules of a site's files, whatever its places and settings are; none if the rules themselves have mistakes.

    >>> rules_alone({"rules/a.yaml": b"id: nothing"})
    ()
    """
    reading = _Places([])
    rules = _below(ours(files), "rules/")
    for data in rules.values():
        reading.unread_fences.update(_words(data))
    keep_ms = {"pings": _EVER_MS, "events": _EVER_MS, "decisions": _EVER_MS}
    ruleset, _ = read_rules(
        rules,
        _below(ours(files), "templates/"),
        places=reading.all_there_may_be(files),
        channels=(),
        timezone="UTC",
        test_users=(),
        keep_ms=keep_ms,
    )
    return () if ruleset is None else ruleset.rules


def _below(files: Mapping[str, bytes], folder: str) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path.startswith(folder)}


class _Places:
    """The places of a site as its files are read, one after the other.

    `unread_fences` and `unread_zones` are all words of files that have mistakes: what such a file names is there,
    though not understood, so that nobody is blamed for pointing at it.
    """

    def __init__(self, mistakes: list[Mistake]) -> None:
        self.mistakes = mistakes
        self.fences: list[FenceDraft] = []
        self.zones: list[tuple[Zone, Node]] = []
        self.places: dict[str, Place] = {}
        self.unread_fences: set[str] = set()
        self.unread_zones: set[str] = set()
        self._where: dict[str, tuple[str, int]] = {}

    def read_fence_file(self, path: str, data: bytes) -> None:
        """Take in one file of fences."""
        fences, wrong = read_fences(data, file=path)
        self.mistakes.extend(wrong)
        if wrong:
            self.unread_fences.update(_words(data))
        for fence in fences:
            self.take_fence(fence)

    def take_fence(self, fence: FenceDraft) -> None:
        """Take in one fence, unless its id is taken."""
        if self._claim(fence.place, fence.file, fence.line, fence.column):
            self.fences.append(fence)

    def read_zone_file(self, path: str, data: bytes) -> None:
        """Take in one file of beacon zones."""
        zones, wrong = read_beacons(data, file=path)
        self.mistakes.extend(wrong)
        if wrong:
            self.unread_zones.update(_words(data))
        for zone, node in zones:
            at = node.get("id") or node
            if self._claim(zone.place, path, at.line, at.column):
                self.zones.append((zone, node))

    def all_there_may_be(self, files: Mapping[str, bytes]) -> list[Place]:
        """The places, and a stand-in for every word of a file that was not understood.

        A stand-in has whatever free data the rules and templates among `files` ask for.
        """
        words = sorted((self.unread_fences | self.unread_zones) - self.places.keys())
        if not words:
            return list(self.places.values())
        texts = [data for path, data in files.items() if path.startswith(("rules/", "templates/"))]
        data = dict.fromkeys((name.decode() for text in texts for name in _PLACE_FIELD.findall(text)), "")
        stand_ins = (Place(word, PlaceKind.FENCE, word, frozenset({word}), word, data=data) for word in words)
        return [*self.places.values(), *stand_ins]

    def settle(self) -> None:
        """Judge what can be judged only now: the fences that zones lie in, and beacons that two zones share."""
        heard: dict[tuple[str, str], str] = {}
        for number, (zone, node) in enumerate(self.zones):
            settled = self._settled(zone, node)
            self.zones[number] = (settled, node)
            self.places[zone.place.id] = settled.place
            if zone.place.group is not None:
                self._check_shared(zone, node, heard)

    def _settled(self, zone: Zone, node: Node) -> Zone:
        """The zone, in the time zone of the fence that it lies in where it names none itself."""
        if zone.inside is None:
            return zone
        fence = self.places.get(zone.inside)
        at = node.get("inside") or node
        if fence is None and zone.inside not in self.unread_fences:
            mend = did_you_mean(zone.inside, (f.place.id for f in self.fences))
            self._wrong(at, "`inside` names no fence", zone.inside, mend)
        elif fence is not None and fence.kind is not PlaceKind.FENCE:
            self._wrong(at, "`inside` names a beacon zone", zone.inside, "name the fence that both lie in")
        elif fence is not None and zone.place.timezone is None:
            return replace(zone, place=replace(zone.place, timezone=fence.timezone))
        return zone

    def _check_shared(self, zone: Zone, node: Node, heard: dict[tuple[str, str], str]) -> None:
        for beacon in zone.beacons:
            assert zone.place.group is not None
            other = heard.setdefault((zone.place.group, beacon), zone.place.id)
            if other != zone.place.id:
                what = f"zone `{other}` of the same group has this beacon too, so the two can never be told apart"
                self._wrong(node.get("beacons") or node, what, beacon, "take it out of one, or out of the group")

    def _claim(self, place: Place, file: str, line: int, column: int) -> bool:
        first = self._where.setdefault(place.id, (file, line))
        if place.id in self.places:
            where = f"line {first[1]}" if first[0] == file else f"{first[0]} line {first[1]}"
            self.mistakes.append(
                Mistake(file, line, column, f"this id is taken by a place on {where}", place.id, "choose another")
            )
            return False
        self.places[place.id] = place
        return True

    def _wrong(self, node: Node, what: str, got: str, mend: str) -> None:
        self.mistakes.append(Mistake(node.file, node.line, node.column, what, got, mend))


def _words(data: bytes) -> set[str]:
    found = {quoted or bare for quoted, bare in _WORD.findall(data.decode("utf-8", "replace"))}
    return found if len(found) <= _WORDS_MAX else set()
