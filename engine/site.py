"""A site in force: everything the fold needs to know that is not state.

Owns putting a draft and the map's index together, and keeping the map when only rules changed. Must not know the disk.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.site_draft import Draft, read_draft
from geo.border import Borders
from geo.index import FenceIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.beacons import Zone
    from engine.fences import Fence
    from engine.settings import Settings
    from geo.mistake import Mistake
    from rules.place import Place
    from rules.ruleset import RuleSet


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """One version of a site. `fences` and `zones` are ascending by id; `index` and `borders` number the fences so too.

    `files` are the site's files, by path: what the store keeps to read it again.
    """

    version: str
    files: Mapping[str, bytes]
    settings: Settings
    fences: tuple[Fence, ...]
    zones: tuple[Zone, ...]
    places: Mapping[str, Place]
    rules: RuleSet
    index: FenceIndex
    borders: Borders
    draft: Draft


def read_site(
    files: Mapping[str, bytes],
    *,
    progress: Callable[[int, int], None] | None = None,
    previous: Site | None = None,
) -> tuple[Site | None, list[Mistake]]:
    """The site that the files describe, or None and all their mistakes, in order of file, line and column.

    `files` are by path, seen from the site's folder; files that are none of a site's are left alone, and no file at
    all is a site without places or rules. `progress` is told (fences done, of how many).
    `previous` lends its map when its fences are the same.

    >>> read_site({})[0].fences
    ()
    """
    draft, mistakes = read_draft(files, known=previous.draft if previous is not None else None)
    if draft is None:
        return None, mistakes
    shapes = [fence.shape for fence in draft.fences]
    if previous is not None and _same_map(draft, previous.draft):
        index, borders = previous.index, previous.borders
    else:
        index, borders = FenceIndex.build(shapes, progress=progress), Borders.build(shapes)
    return Site(
        version=draft.version,
        files=draft.files,
        settings=draft.settings,
        fences=tuple(fence.under(draft.settings.detection) for fence in draft.fences),
        zones=draft.zones,
        places=draft.places,
        rules=draft.rules,
        index=index,
        borders=borders,
        draft=draft,
    ), []


def _same_map(one: Draft, other: Draft) -> bool:
    """True if both have the very same fences, in the same order."""
    return len(one.fences) == len(other.fences) and all(map(operator.is_, one.fences, other.fences))
