"""Reading a version of the site from the one before, in whatever thread: one at a time in a process.

Owns that order, which `read_site` asks for: versions that come from one another share what did not change of their
index, and two threads that edit it at a time spoil it for all. Must not know who reads, nor why.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from engine.site import read_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.site import Site
    from engine.site_map import SiteMap
    from geo.mistake import Mistake

_ONE_AT_A_TIME: Final = Lock()


def read_next(
    files: Mapping[str, bytes], previous: SiteMap | None, *, was_in_force: bool = False
) -> tuple[Site | None, list[Mistake]]:
    """`read_site`, once nobody else is about to read."""
    with _ONE_AT_A_TIME:
        return read_site(files, previous=previous, was_in_force=was_in_force)


def settle(site_map: SiteMap) -> None:
    """`FenceIndex.settle`, once nobody is about to read."""
    with _ONE_AT_A_TIME:
        site_map.index.settle()
