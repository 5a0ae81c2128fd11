"""What of a folder tells that the site in it changed, and what is said of a folder that cannot be read."""

from __future__ import annotations

import os
import resource
import shutil
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from nearcast.folder import FolderError, fingerprint, read_folder

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


def refusal(site: Path) -> tuple[str, str]:
    """What is said of a site that cannot be read, without where it is."""
    with pytest.raises(FolderError) as caught:
        read_folder(site)
    before, after = str(caught.value).removeprefix(f"the site at `{site}` cannot be read: ").split(f", got `{site}/")
    return before, after


@pytest.mark.parametrize("name", ["rules", "templates", "fences", "beacons"])
def test_a_file_in_place_of_a_folder_is_named(site: Path, name: str) -> None:
    shutil.rmtree(site / name, ignore_errors=True)
    (site / name).write_text("id: hello\n")
    assert refusal(site) == ("Not a directory", f"{name}`, make it a folder and put its files there")
    assert fingerprint(site) == ()


@pytest.mark.parametrize("name", ["rules/other.yaml", "nearcast.yaml", "beacons"])
def test_a_link_to_nothing_is_told_to_be_mended(site: Path, name: str) -> None:
    (site / name).unlink(missing_ok=True)
    (site / name).symlink_to("nowhere")
    mend = "it links to nothing: mend the link or take it out"
    assert refusal(site) == ("No such file or directory", f"{name}`, {mend}")


def test_a_link_to_itself_too(site: Path) -> None:
    (site / "rules/loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(FolderError, match=r"it links to itself: mend the link or take it out"):
        read_folder(site)


def test_a_process_with_too_many_open_files_is_not_told_of_rights(site: Path) -> None:
    """Each connection is one: the site was said to have wrong rights when clients were many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = os.open(site / "nearcast.yaml", os.O_RDONLY)
    os.close(taken)
    resource.setrlimit(resource.RLIMIT_NOFILE, (taken, hard))
    try:
        with pytest.raises(FolderError, match="Too many open files") as caught:
            read_folder(site)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert str(caught.value).endswith("raise the limit of this process (`ulimit -n`, `LimitNOFILE`)")
