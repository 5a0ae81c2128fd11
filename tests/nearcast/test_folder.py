"""What of a folder tells that the site in it changed."""

from __future__ import annotations

import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

from nearcast.folder import fingerprint

if TYPE_CHECKING:
    from pathlib import Path


def test_the_sites_own_files_count_each_time_they_change(site: Path) -> None:
    seen = [fingerprint(site)]
    for change in (
        lambda: (site / "nearcast.yaml").write_text("timezone: Europe/Paris\n"),
        lambda: (site / "fences/more.geojson").write_text('{"type": "FeatureCollection", "features": []}'),
        lambda: (site / "fences/more.geojson").write_text('{"type": "FeatureCollection", "features": [ ]}'),
        lambda: (site / "fences/more.geojson").rename(site / "fences/most.geojson"),
        (site / "fences/most.geojson").unlink,
    ):
        change()
        seen.append(fingerprint(site))
    assert all(before != after for before, after in pairwise(seen))


def test_what_else_lies_or_is_written_in_the_folder_does_not_count(site: Path) -> None:
    before = fingerprint(site)
    (site / "var").mkdir(exist_ok=True)
    for name in ("messages.jsonl", "log", "var/nearcast.db", "README.md", "rules/.hidden.yaml", "notes.yaml"):
        (site / name).write_text("written, message after message")
    assert fingerprint(site) == before


def test_a_folder_that_is_gone_has_none(site: Path) -> None:
    shutil.rmtree(site)
    assert fingerprint(site) == ()
