"""Getting the compiled parts ready, and saying so while a new machine waits for them.

Owns what is shown. The first time on a machine takes about half a minute, and is kept on disk; afterwards each part is
loaded when it is first called.
"""

from __future__ import annotations

import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from engine.warm import is_warm, load_for_pings, warm
from geo.uncollected import collect_as_usual
from nearcast.terminal import console_on

if TYPE_CHECKING:
    from collections.abc import Callable

_PACKAGES = ("geo", "rules", "engine", "connectors", "nearcast")


def ready_kernels(*, pings: bool = False) -> None:
    """Compile all kernels that are not on disk, showing how far it is; with `pings` load what every ping meets."""
    if not is_warm():
        _compile()
    if pings:
        load_for_pings()
    collect_as_usual()


def begin_kernels() -> Future[None]:
    """Compile those that are not on disk, and begin to load what every ping meets, in a thread.

    To load machine code takes the interpreter for half of the time only: a start reads its rules meanwhile.
    """
    if not is_warm():
        _compile()
    pool = ThreadPoolExecutor(1, "kernels")
    loading = pool.submit(load_for_pings)
    pool.shutdown(wait=False)
    return loading


def _compile() -> None:
    """With a progress bar on standard error (on a terminal), or one line a step."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # most starts have nothing to show

    console = console_on(sys.stderr)
    if not console.is_terminal:
        warm(lambda name, done, total: console.print(_line(name, done, total)))
        return
    columns = (TextColumn("[dim]compiling (once on this machine)[/]"), BarColumn(), TextColumn("{task.description}"),
               TimeElapsedColumn())  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        warm(lambda name, done, total: bar.update(task, description=name, completed=done, total=total))


def _line(name: str, done: int, total: int) -> str:
    return f"compiling (once on this machine): {done}/{total} {name}"


def warm_with(say: Callable[[str], None]) -> None:
    """Compile or load all kernels, telling each step in a line; and our Python, where it is not yet."""
    import compileall

    for package in _PACKAGES:  # images are often made with PYTHONDONTWRITEBYTECODE: each start would compile it anew
        compileall.compile_dir(Path(__file__).parent.parent / package, quiet=2)
    warm(lambda name, done, total: say(f"{done}/{total} {name}"))
