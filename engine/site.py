"""A site in force: everything the fold needs to know that is not state.

Owns putting a draft and its map together. Must not know the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.site_draft import read_draft
from engine.site_map import SiteMap, make_map

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.beacons import Zone
    from engine.fences import Fence
    from engine.settings import Settings
    from geo.border import Borders
    from geo.index import FenceIndex
    from geo.mistake import Mistake
    from rules.place import Place
    from rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One version of a site. `fences` and `zones` are ascending by id, and numbered so by `map`.

    `files` are the site's files, by path: what the store keeps to read it again.
    """

    version: str
    files: Mapping[str, bytes]
    settings: Settings
    fences: tuple[Fence, ...]
    zones: tuple[Zone, ...]
    places: Mapping[str, Place]
    rules: RuleSet
    map: SiteMap

    @property
    def index(self) -> FenceIndex:
        """Which fences a point is in."""
        return self.map.index

    @property
    def borders(self) -> Borders:
        """The borders of the fences."""
        return self.map.borders


def read_site(
    files: Mapping[str, bytes],
    *,
    progress: Callable[[int, int], None] | None = None,
    previous: SiteMap | None = None,
    was_in_force: bool = False,
) -> tuple[Site | None, list[Mistake]]:
    """The site that the files describe, or None and all their mistakes, in order of file, line and column.

    `files` are by path, seen from the site's folder; files that are none of a site's are left alone, and no file at
    all is a site without places or rules. `progress` is told (fences done, of how many).
    `previous` lends what is the same: an edit of few fences, however many there are, is brought into its index in a
    few ms. It goes on as it is. Only one thread at a time may read sites whose maps come from one another. A version
    that `was_in_force` is not held against what is checked today and was not then.

    >>> read_site({})[0].fences
    ()
    """
    draft, mistakes = read_draft(files, known=previous, was_in_force=was_in_force)
    if draft is None:
        return None, mistakes
    return Site(
        version=draft.version,
        files=draft.files,
        settings=draft.settings,
        fences=tuple(fence.under(draft.settings.detection) for fence in draft.fences),
        zones=draft.zones,
        places=draft.places,
        rules=draft.rules,
        map=make_map(draft.digests, draft.fences, previous=previous, progress=progress),
    ), []
