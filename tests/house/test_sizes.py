"""Files and functions stay small enough to be read at one sitting."""

from __future__ import annotations

import ast

from tests.house.tree import PACKAGES, functions, modules

#: One file, one subject: most have 100 to 250 lines.
FILE_LINES_MAX = 600
#: A function fits on a screen.
FUNCTION_LINES_MAX = 70


def test_no_file_is_longer_than_600_lines() -> None:
    sizes = {m.name: m.text.count("\n") for m in modules(*PACKAGES, "tests", "benchmarks")}
    long = {name: lines for name, lines in sizes.items() if lines > FILE_LINES_MAX}
    assert not long, f"use two files with one subject each instead: {long}"


def test_no_function_is_longer_than_70_lines() -> None:
    long = {
        f"{m.name}:{f.lineno} {f.name}": f.end_lineno - f.lineno + 1
        for m in modules(*PACKAGES, "tests", "benchmarks")
        for f in functions(m.tree)
        if f.end_lineno is not None and f.end_lineno - f.lineno + 1 > FUNCTION_LINES_MAX
    }
    assert not long, f"use a parent that decides and leaves that work instead: {long}"


def test_every_file_says_at_its_top_what_it_owns() -> None:
    silent = [
        m.name for m in modules(*PACKAGES, "tests", "benchmarks") if m.tree.body and not ast.get_docstring(m.tree)
    ]
    assert not silent, f"use a docstring that says what the file owns and must not know instead of silence: {silent}"
