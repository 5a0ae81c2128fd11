"""The kept map of a site is what its files say, or is not used."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import orjson
import pytest

from engine.site import Site, read_site
from engine.site_map import SiteMap
from geo.shape import same_shape
from nearcast import map_file as module
from nearcast.map_file import MapFile
from tests.exact import worlds


def files_of(seed: int, **properties: object) -> dict[str, bytes]:
    drawn = [fence.feature() for fence in worlds.fences(60, random.Random(seed))]
    own = [
        {"timezone": "Europe/Paris", "tags": ["b", "a"], "group": "g", "floor": 3, **properties},
        {"detection": {"enter_fixes": 3, "silence": "5m"}, "name": "Öst"},
        {"detection": {"preset": "instant"}},
    ]
    for feature, more in zip(drawn, own, strict=False):
        feature["properties"] |= more
    half = len(drawn) // 2
    return {
        f"fences/{name}.geojson": orjson.dumps({"type": "FeatureCollection", "features": features})
        for name, features in (("a", drawn[:half]), ("b", drawn[half:]))
    }


def site_of(files: dict[str, bytes], previous: SiteMap | None = None) -> Site:
    site, mistakes = read_site(files, previous=previous)
    assert site is not None, [str(m) for m in mistakes]
    return site


def same(one: Site, other: Site) -> bool:
    rng = np.random.default_rng(3)
    points = rng.uniform(35.5, 35.9, 20_000), rng.uniform(139.5, 139.9, 20_000)
    answers = zip(one.index.match(*points), other.index.match(*points), strict=True)
    return (
        one.version == other.version
        and one.places == other.places
        and [f.detection for f in one.fences] == [f.detection for f in other.fences]
        and all(same_shape(a.shape, b.shape) for a, b in zip(one.fences, other.fences, strict=True))
        and [(f.file, f.line, f.column) for f in one.map.fences]
        == [(f.file, f.line, f.column) for f in other.map.fences]
        and all(a.tolist() == b.tolist() for a, b in answers)
    )


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "nearcast.db"


def test_a_site_read_with_the_kept_map_is_the_site_read_without_and_nothing_is_made_anew(store: Path) -> None:
    site = site_of(files_of(1))
    MapFile(store).keep(site.map)
    kept = MapFile(store).read()
    assert kept is not None
    again = site_of(files_of(1), kept)
    assert again.index is kept.index
    assert same(again, site)


def test_files_that_changed_since_are_read_and_the_others_come_from_the_map(store: Path) -> None:
    MapFile(store).keep(site_of(files_of(1)).map)
    kept = MapFile(store).read()
    assert kept is not None
    files = files_of(1)
    document = orjson.loads(files["fences/b.geojson"])
    document["features"][0] = document["features"][1] | {
        "id": "moved",
        "properties": {"floor": 9, **document["features"][1]["properties"]},
    }
    files["fences/b.geojson"] = orjson.dumps(document)
    again = site_of(files, kept)
    assert again.index is not kept.index
    assert same(again, site_of(files))


def test_it_is_written_once_and_again_after_an_edit(store: Path) -> None:
    site = site_of(files_of(1))
    file = MapFile(store)
    file.keep(site.map)
    first = file.path.stat()
    file.keep(site.map)
    assert file.path.stat().st_ino == first.st_ino
    edited = site_of(files_of(1, floor=4), site.map)
    assert edited.index is site.index, "only free data changed"
    file.keep(edited.map)
    assert file.path.stat().st_ino != first.st_ino
    kept = MapFile(store).read()
    assert kept is not None
    assert same(site_of(files_of(1, floor=4), kept), edited)
    assert [path.name for path in store.parent.iterdir()] == ["nearcast.db.map"]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.3, 0.7, 0.999])
@pytest.mark.parametrize("how", ["cut", "flip"])
@pytest.mark.parametrize("in_pages", [False, True])
def test_a_broken_file_is_never_used(store: Path, share: float, how: str, in_pages: bool) -> None:
    file = MapFile(store)
    file.keep(site_of(files_of(1)).map)
    whole = file.path.read_bytes()
    at = int(share * len(whole))
    if how == "flip":
        at = next(k for k in range(at, len(whole)) if whole[k])  # what lies between two arrays is nobody's
    broken = whole[:at] if how == "cut" else whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
    file.path.write_bytes(broken)
    assert MapFile(store, in_pages=in_pages).read() is None


@pytest.mark.parametrize("content", [b"", b"SQLite format 3\x00", module.MAGIC + b"\xff" * 64])
def test_another_file_in_its_place_is_not_used_and_is_written_over(store: Path, content: bytes) -> None:
    file = MapFile(store)
    file.path.write_bytes(content)
    assert file.read() is None
    site = site_of(files_of(1))
    file.keep(site.map)
    assert MapFile(store).read() is not None


def test_a_map_of_other_sources_is_not_used(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "stamp", lambda: "an older version")
    MapFile(store).keep(site_of(files_of(1)).map)
    monkeypatch.undo()
    assert MapFile(store).read() is None


def test_a_disk_that_does_not_take_it_harms_nothing(store: Path) -> None:
    file = MapFile(store.parent / "gone" / "nearcast.db")
    file.keep(site_of(files_of(1)).map)
    assert file.read() is None
    file = MapFile(store)
    file.path.mkdir()
    file.keep(site_of(files_of(1)).map)
    assert file.read() is None
    assert [path.name for path in store.parent.iterdir()] == ["nearcast.db.map"]


def test_where_it_would_take_the_stores_room_it_is_not_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SPARE", 1 << 40)
    said: list[str] = []
    file = MapFile(store, warn=said.append)
    file.keep(site_of(files_of(1)).map)
    assert not file.path.exists()
    assert "too little room" in said[0] and str(file.path) in said[0]


def test_free_data_that_cannot_be_written_keeps_no_map(store: Path) -> None:
    files = files_of(1)
    huge = b"1" + b"0" * 40
    files["fences/a.geojson"] = files["fences/a.geojson"].replace(b'"floor":3', b'"floor":' + huge)
    site = site_of(files)
    assert any(place.data.get("floor") == int(huge) for place in site.places.values())
    file = MapFile(store)
    file.keep(site.map)
    assert not file.path.exists()


def test_reading_may_begin_ahead(store: Path) -> None:
    site = site_of(files_of(2))
    MapFile(store).keep(site.map)
    file = MapFile(store)
    file.begin()
    kept = file.read()
    assert kept is not None
    assert same(site_of(files_of(2), kept), site)


def test_an_index_out_of_the_file_answers_alike_before_and_after_it_moves_into_memory_of_its_own(store: Path) -> None:
    site = site_of(files_of(1))
    MapFile(store).keep(site.map)
    kept = MapFile(store, in_pages=True).read()
    assert kept is not None
    again = site_of(files_of(1), kept)
    assert same(again, site)
    in_file = again.index.version.cells
    again.index.settle()
    MapFile(store).path.write_bytes(b"")
    assert again.index.version.cells.arena is not in_file.arena
    del in_file
    assert same(again, site)
    assert same(site_of(files_of(2), again.map), site_of(files_of(2)))


def test_an_index_out_of_the_file_may_be_edited_and_the_file_stays_as_it_was(store: Path) -> None:
    site = site_of(files_of(1))
    MapFile(store).keep(site.map)
    before = MapFile(store).path.read_bytes()
    kept = MapFile(store, in_pages=True).read()
    assert kept is not None
    files = files_of(1)
    document = orjson.loads(files["fences/b.geojson"])
    del document["features"][3]
    files["fences/b.geojson"] = orjson.dumps(document)
    assert same(site_of(files, kept), site_of(files))
    assert same(site_of(files_of(1), kept), site)
    assert MapFile(store).path.read_bytes() == before
