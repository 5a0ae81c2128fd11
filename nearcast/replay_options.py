"""What the command line asks of `run`, `demo` and `replay`, as values.

Owns the options and their meaning. Must not know how they are typed, nor how they are carried out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What to replay, and what to print and write of it.

    `files` are recordings in the order given; with `from_store` the site's own store is replayed, and `files` is empty.
    `device` names the device of files that name none. `users` is a JSONL file of users, taken in before the first ping.
    `assume_consent` takes missing consent as given. `sort` works everything in order of time. `as_json` prints one
    object and nothing else. `decisions` and `transitions` are files to write, one JSON line each.
    """

    files: tuple[Path, ...] = ()
    from_store: bool = False
    device: str | None = None
    users: Path | None = None
    assume_consent: bool = False
    sort: bool = False
    as_json: bool = False
    decisions: Path | None = None
    transitions: Path | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How to run a site. `listen` (`HOST:PORT`) stands in for the setting of that name."""

    listen: str | None = None


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """How to show the demo: its people, its seed, where it listens, and after how many seconds it ends (or None)."""

    crowd: int = 2_000
    seed: int = 1
    listen: str | None = None
    seconds: float | None = None
