"""A mistake in a file that a person wrote: where it is, what is wrong, what came, how to mend it.

Owns the one shape and the one wording of such lines, for fences, beacon zones, rules, templates and settings.
Must not know how the files are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One mistake, at one place in one file.

    `line` and `column` count from 1, as editors do; `what` is one lower-case phrase without a full stop; `got` is
    the offending input as it came, or None; `mend` says what to write instead.

    >>> str(Mistake("rules/a.yaml", 3, 10, "`of` needs a duration such as `5m`", got="5", mend="add a unit"))
    'rules/a.yaml:3:10: `of` needs a duration such as `5m`, got `5`, add a unit'
    """

    file: str
    line: int
    column: int
    what: str
    got: str | None = None
    mend: str = ""

    def __str__(self) -> str:
        got = "" if self.got is None else f", got `{_short(self.got)}`"
        mend = f", {self.mend}" if self.mend else ""
        return f"{self.file}:{self.line}:{self.column}: {self.what}{got}{mend}"


class MistakesError(Exception):
    """Raised where a whole site is needed and its files have mistakes. `mistakes` holds all of them, in order."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(str(m) for m in self.mistakes))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The mend for an unknown word: the nearest known one, else the list of what is known.

    >>> did_you_mean("trigerr", ["trigger", "limits"])
    'did you mean `trigger`?'
    >>> did_you_mean("zzz", ["a", "b"])
    'known are `a`, `b`'
    """
    names = sorted(set(known))
    near = get_close_matches(word, names, n=1)
    if near:
        return f"did you mean `{near[0]}`?"
    if not names:
        return "none is known here"
    return "known are " + ", ".join(f"`{n}`" for n in names[:12]) + (", …" if len(names) > 12 else "")


def _short(text: str) -> str:
    """In one line, and without characters that would do something to a terminal."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    return flat if len(flat) <= 60 else flat[:57] + "..."
