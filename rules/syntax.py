"""What the YAML parser did not understand, in words that help whoever wrote the file.

Owns the translation only. Must not know how files are read.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from ruamel.yaml.error import MarkedYAMLError

_OPENED: Final = {
    "while scanning a quoted scalar": "quote",
    "while scanning a double-quoted scalar": "quote",
    "while parsing a flow sequence": "bracket",
    "while parsing a flow mapping": "brace",
}
_NO_COLON: Final = "could not find expected ':'"
_INDENT: Final = "check the indentation"
_ONE_TEXT: Final = "put all of the value in one pair of quotes"
#: Told apart by a pattern in the parser's own words: what is wrong, and how to mend it. `{0}` is the pattern's group.
_TABLE: Final = [
    (r"'\\t' that cannot start", "a tab cannot stand here", "use spaces"),
    (r"character '(.)' that cannot start", "a text cannot begin with `{0}`", "put the text in quotes"),
    (r"mapping values are not", "a `:` cannot stand here", f"{_INDENT}, put text that holds `: ` in quotes"),
    (_NO_COLON, "a key without `:`", "write `key: value`, with a plain `:` and a plain space"),
    (r"found '([\]}])'$", "a `{0}` that closes nothing", "remove it"),
    (r"content, but found ','", "a `,` with nothing before it", "remove it"),
    (r"<block end>, but found '(?:<block sequence start>|-)'", "a list entry cannot stand here", _INDENT),
    (r"<block end>, but found '(?:<block mapping start>|\?)'", "a key cannot stand here", _INDENT),
    (r"<block end>, but found '(?:[\[{,]|<(?:anchor|alias|tag)>)'", "something else stands after the value", _ONE_TEXT),
    (r"but found \W*<scalar>", "a text cannot stand here", _ONE_TEXT),
    (r"sequence entries are not allowed", "a list entry cannot stand here", "begin it on a line of its own"),
    (r"<stream end>", "the file ends too early", "write a value"),
    (r"<document start>", "something cannot stand here", _INDENT),
    (r"unknown escape character '(.)'", "`\\{0}` is no escape", "write `\\\\{0}`, or use single quotes"),
    (r"expected chomping", "a text cannot begin with `|` or `>`", "put the text in quotes"),
    (r"a comment or a line break", "a text cannot begin with `|` or `>`", "put the text in quotes"),
    (r"expected alphabetic", "a text cannot begin with `*` or `&`", "put the text in quotes"),
    (r"incompatible YAML", "is of a YAML version that is not read", "remove the `%YAML` line"),
]


def in_words(error: MarkedYAMLError) -> tuple[int, int, str, str]:
    """Line, column, what is wrong and how to mend it, of a syntax error."""
    problem = str(error.problem or error.context or "is not YAML").splitlines()[0]
    mark = error.problem_mark or error.context_mark
    if problem.startswith(_NO_COLON):  # it is missed where the next thing stands, lines below
        mark = error.context_mark or mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    opened = _OPENED.get(str(error.context))
    if opened and error.context_mark and ("end" in problem or "separator" in problem or "but got" in problem):
        where = "the file ends too early" if "end" in problem else "something else stands here"
        return line, column, f"{where}, the {opened} that opens on line {error.context_mark.line + 1} is not closed", ""
    for pattern, what, mend in _TABLE:
        found = re.search(pattern, problem)
        if found:
            return line, column, what.format(*found.groups()), mend.format(*found.groups())
    return line, column, problem.replace("'", "`"), ""
