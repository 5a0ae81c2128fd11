"""The pages of the documentation as the tests see them: their links, anchors, and fenced blocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from tests.house.tree import files, text_of


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its page and line, what stands after the fence, its text."""

    page: str
    line: int
    info: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@cache
def pages() -> tuple[str, ...]:
    """Every Markdown page, by its name inside the repository."""
    return tuple(name for name in files() if name.endswith(".md"))


@cache
def blocks() -> tuple[Block, ...]:
    """Every fenced block of every page."""
    found = []
    for page in pages():
        opened: tuple[int, str, list[str]] | None = None
        for number, line in enumerate(text_of(page).splitlines(), 1):
            if line.startswith("```"):
                if opened is None:
                    opened = (number, line[3:].strip(), [])
                else:
                    found.append(Block(page, opened[0], opened[1], "\n".join(opened[2]) + "\n"))
                    opened = None
            elif opened is not None:
                opened[2].append(line)
        assert opened is None, f"{page}: the block opened on line {opened and opened[0]} is not closed"
    return tuple(found)


def prose(page: str) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    made = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE):
        plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        made.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return made


def documented() -> str:
    """All pages but the decisions and the changelog, in one text: everything that is set or called must be in it."""
    return "\n".join(
        text_of(p) for p in pages() if p == "README.md" or (p.startswith("docs/") and "/decisions/" not in p)
    )
