"""What is printed for people: a console on a terminal, and the same into a file or a pipe.

Owns that off a terminal no line is broken and nothing cut: who reads there are programs, or people with `less`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

#: No line that we print is longer.
_WIDTH_MAX: Final = 1 << 16


def console_on(out: TextIO) -> Console:
    """A console that writes to `out`. It is as wide as the terminal; elsewhere, as wide as what is printed."""
    from rich.console import Console  # programs need not wait for it

    console = Console(file=out, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = _WIDTH_MAX
    return console
