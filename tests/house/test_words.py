"""One word, one meaning: what the glossary puts aside is in no name and on no page. And no trace of a machine."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from tests.house.tree import PACKAGES, files, functions, modules, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is put aside, and what is said in its place. As a part of a name, or as a word of a page.
ASIDE = {
    "region": "fence or place",
    "poi": "place",
    "notification": "message",
    "campaign": "rule",
    "subject": "user or device",
}
#: The glossary tells which words these are; the sources are described in their owners' words.
_NOT_OURS = ("docs/glossary.md", "examples/tokyo/SOURCES.md")

#: Paths and hosts of machines, which mean nothing to a reader elsewhere.
TRACES = {
    r"/(work|root|opt/wheels)/": "a path inside the repository",
    r"/(home|Users)/[a-z]": "a path inside the repository",
    r"\b(files\.pythonhosted|registry\.npmjs|static\.crates|deb\.debian)\.(org|io)\b": "the package's name",
    r"\bpypi\.org/(simple|pypi)\b": "the package's name",
    r"--(extra-)?index-url|--find-links|--trusted-host": "the index that pip is set to",
}


def _parts(name: str) -> set[str]:
    """The words of a name, in the singular: `fenceRegions` has fence and region."""
    words = re.split(r"[^A-Za-z]+|(?<=[a-z])(?=[A-Z])", name)
    return {word.lower().removesuffix("s") for word in words}


def _names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The names that a module makes: of functions, classes, arguments, variables."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
    for function in functions(tree):
        yield function.lineno, function.name


def test_no_name_holds_a_word_that_was_put_aside() -> None:
    wrong = [
        f"{m.name}:{line} {name}: use {ASIDE[word]} instead"
        for m in modules(*PACKAGES)
        for line, name in _names(m.tree)
        for word in sorted(_parts(name) & ASIDE.keys())
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", [n for n in files() if n.endswith(".md") and n not in _NOT_OURS])
def test_no_page_holds_a_word_that_was_put_aside(name: str) -> None:
    words = [
        (line, w.lower())
        for line, text in enumerate(text_of(name).splitlines(), 1)
        for w in re.findall(r"[A-Za-z]+", text)
    ]
    wrong = [
        f"{name}:{line} {w}: use {ASIDE[w.removesuffix('s')]} instead"
        for line, w in words
        if w.removesuffix("s") in ASIDE
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("pattern", TRACES)
def test_no_file_holds_a_path_or_a_registry_of_a_machine(pattern: str) -> None:
    own = "tests/house/test_words.py"
    wrong = [
        f"{name}: {found[0]!r}"
        for name in files()
        if name != own and not name.endswith((".gz", ".png", ".db", ".bin"))
        for found in [re.search(pattern, text_of(name))]
        if found
    ]
    assert not wrong, f"use {TRACES[pattern]} instead: {wrong}"


def test_names_are_taken_apart_as_they_are_read() -> None:
    assert _parts("POIs") | _parts("hit_region") | _parts("NotificationCampaigns") == {
        "poi", "hit", "region", "notification", "campaign",
    }  # fmt: skip
