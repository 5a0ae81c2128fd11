"""The pages hold together: links lead somewhere, commands exist, blocks are what they say, the index is whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from tests.house.pages import Block, anchors, blocks, pages, prose
from tests.house.tree import ROOT, text_of

TOKYO = ROOT / "examples" / "tokyo"
#: Where a marked block is put in a site to be checked; the rest of that site is the Tokyo one's.
PLACES = {
    "yaml rule": "rules/page.yaml",
    "yaml settings": "nearcast.yaml",
    "yaml beacons": "beacons/page.yaml",
    "yaml template": "templates/page.yaml",
    "json fence": "fences/page.geojson",
}
MARKED = [b for b in blocks() if b.info in PLACES]
SHELL = [b for b in blocks() if b.info in ("sh", "bash")]


def _id(block: Block) -> str:
    return block.where


@pytest.mark.parametrize("page", pages())
def test_every_link_of_a_page_leads_to_something(page: str) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (ROOT / page).parent / path if path else ROOT / page
        if not to.exists():
            wrong.append(f"{target}: there is no such file")
        elif anchor and to.suffix == ".md" and anchor not in anchors(to.resolve().relative_to(ROOT).as_posix()):
            wrong.append(f"{target}: there is no such heading")
    assert not wrong, f"{page}: {wrong}"


def test_every_page_of_docs_is_in_its_index() -> None:
    index = text_of("docs/README.md")
    missing = [
        p for p in pages()
        if p.startswith("docs/") and p != "docs/README.md" and f"({PurePosixPath(p).relative_to('docs')})" not in index
    ]  # fmt: skip
    assert not missing, f"docs/README.md does not name {missing}"


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), flags=re.MULTILINE))
    named = {
        (page, name)
        for page in pages()
        for name in re.findall(r"(?:^|`)make ([a-z-]+)", text_of(page), flags=re.MULTILINE)
    }
    assert ("README.md", "demo") in named
    assert not {(page, name) for page, name in named if name not in targets}


def test_every_target_of_the_makefile_is_explained_by_help() -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^\.PHONY: (.+)$", makefile, flags=re.MULTILINE)[0].split())
    assert targets == set(re.findall(r"^([a-z-]+):.*## \S", makefile, flags=re.MULTILINE))


def test_yaml_blocks_say_what_they_are() -> None:
    known = {*PLACES, "yaml other"}
    wrong = [f"{b.where} is `{b.info}`" for b in blocks() if b.info.startswith("yaml") and b.info not in known]
    assert not wrong, f"mark the block as one of {sorted(known)}: {wrong}"


@pytest.mark.parametrize("block", MARKED, ids=_id)
def test_a_marked_block_passes_the_linter(block: Block, tmp_path: Path) -> None:
    put = PLACES[block.info]
    # rules speak of places and texts; everything else stands without the rest of a site
    for folder in ("fences", "beacons", "templates") if put.startswith("rules/") else ("fences",):
        shutil.copytree(TOKYO / folder, tmp_path / folder)
    (tmp_path / put).parent.mkdir(exist_ok=True)
    (tmp_path / put).write_text(block.text, encoding="utf-8")
    done = subprocess.run(
        [ROOT / ".venv/bin/nearcast", "check", tmp_path], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, f"{block.where}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("block", [b for b in blocks() if b.info == "json"], ids=_id)
def test_a_json_block_is_json(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.parametrize("block", SHELL, ids=_id)
def test_a_shell_block_is_read_by_bash(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.where}: {done.stderr}"
