"""The repository as the house rules see it: its files, the packages' modules, the functions in them.

Owns how files are found: those that git knows or would take, so that a mistake is found before it is committed.
"""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
PACKAGES = ("geo", "rules", "engine", "connectors", "nearcast")
#: Those that do no I/O.
PURE = ("geo", "rules", "engine")


@dataclass(frozen=True, slots=True)
class Module:
    """One Python file: its name inside the repository, its text, its tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        return self.name.split("/")[0]


@cache
def files() -> tuple[str, ...]:
    """Every file of the repository, by its name inside it, sorted."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return tuple(sorted(name for name in set(listed.split("\0")) if name and (ROOT / name).is_file()))


def text_of(name: str) -> str:
    """The text of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def modules(*folders: str) -> tuple[Module, ...]:
    """The Python files of these top folders."""
    found = []
    for name in files():
        if name.endswith(".py") and name.split("/")[0] in folders:
            text = text_of(name)
            found.append(Module(name, text, ast.parse(text, name)))
    assert found, f"no Python files in {folders}"
    return tuple(found)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, also those within others."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or an attribute, with `` for what is neither."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return f"{head}.{node.attr}" if head else ""
    return ""


def imported(tree: ast.Module) -> dict[str, str]:
    """What each name of a module stands for: `{"np": "numpy", "now": "datetime.now"}`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def calls(module: Module) -> Iterator[tuple[str, ast.Call]]:
    """Every call of what was imported or is built in, by its full name; those of local values have none."""
    names = imported(module.tree)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            head, _, rest = dotted(node.func).partition(".")
            if rest and head in names:
                yield f"{names[head]}.{rest}", node
            elif head and not rest:
                yield names.get(head, head), node
