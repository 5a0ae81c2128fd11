"""Getting the compiled parts ready, and saying so while a new machine waits for them.

Owns what is shown. The first time on a machine takes about half a minute, and is kept on disk; afterwards it is loaded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from engine.warm import warm
from geo.warm import is_warm

if TYPE_CHECKING:
    from collections.abc import Callable


def ready_kernels() -> None:
    """Compile or load all kernels, with a progress bar on standard error (on a terminal), or one line a step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        warm(_quiet if is_warm() else lambda name, done, total: console.print(_line(name, done, total)))
        return
    columns = (TextColumn("[dim]compiling (once on this machine)[/]"), BarColumn(), TextColumn("{task.description}"),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        warm(lambda name, done, total: bar.update(task, description=name, completed=done, total=total))


def _quiet(name: str, done: int, total: int) -> None:
    """What is only loaded is ready in a second."""


def _line(name: str, done: int, total: int) -> str:
    return f"compiling (once on this machine): {done}/{total} {name}"


def warm_with(say: Callable[[str], None]) -> None:
    """Compile or load all kernels, telling each step in a line."""
    warm(lambda name, done, total: say(f"{done}/{total} {name}"))
