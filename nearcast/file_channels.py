"""Where file channels may not write: over the store, and into what the site is read from.

Owns that judgement, on real paths: a link is where it leads to. Must not know how a channel writes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.settings import SETTINGS_FILE, FileSettings
from geo.mistake import Mistake
from nearcast.folder import SUFFIXES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.settings import Settings

#: What stands beside the store under its name.
_BESIDE = ("", "-wal", "-shm", "-journal", ".lock", ".map")
_ELSEWHERE = "choose another such as `var/sent.jsonl`"


def misplaced(settings: Settings, site: Path) -> list[Mistake]:
    """The file channels that would write where they may not; `settings` have the environment's variables filled in."""
    return sorted(_misplaced(settings, site))


def _misplaced(settings: Settings, site: Path) -> Iterator[Mistake]:
    store = os.path.realpath(site / settings.store)
    stores = {store + suffix for suffix in _BESIDE}
    read = {os.path.realpath(site / name): name for name in SUFFIXES}
    for channel in settings.channels.values():
        if not isinstance(channel, FileSettings) or not channel.path:
            continue
        path = os.path.realpath(site / channel.path)
        folder = next((name for real, name in read.items() if path == real or path.startswith(real + os.sep)), None)
        what = None
        if path in stores:
            what = "is the store's, which would be destroyed"
        elif path == os.path.realpath(site / SETTINGS_FILE):
            what = "holds the settings"
        elif folder is not None:
            what = f"is in `{folder}/`, from which the site is read"
        elif os.path.isdir(path):
            what = "is a folder"
        if what is not None:
            where = f"`channels.{channel.name}.path` {what}"
            yield Mistake(SETTINGS_FILE, channel.line, channel.column, where, channel.path, _ELSEWHERE)
