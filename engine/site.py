"""A site in force: everything the fold needs to know that is not state.

Owns putting a draft and the map's index together, and keeping the map when only rules changed. Must not know the disk.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from engine.site_draft import Draft, read_draft
from geo.index import FenceIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.beacons import Zone
    from engine.fences import Fence
    from engine.settings import Settings
    from geo.border import Borders
    from geo.mistake import Mistake
    from rules.place import Place
    from rules.ruleset import RuleSet


#: Of an edit that changes more fences than this share of all, and than so many, the index is built anew.
EDIT_SHARE: Final = 0.05
EDIT_MIN: Final = 200


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
    `previous` lends what is the same in its map: an edit of few fences, however many there are, is brought into its
    index in a few ms. It goes on as it is. Only one thread at a time may read sites that come from one another.

    >>> read_site({})[0].fences
    ()
    """
    draft, mistakes = read_draft(files, known=previous.draft if previous is not None else None)
    if draft is None:
        return None, mistakes
    index = _index(draft, previous, progress)
    return Site(
        version=draft.version,
        files=draft.files,
        settings=draft.settings,
        fences=tuple(fence.under(draft.settings.detection) for fence in draft.fences),
        zones=draft.zones,
        places=draft.places,
        rules=draft.rules,
        index=index,
        borders=previous.borders if previous is not None and index is previous.index else index.borders,
        draft=draft,
    ), []


def _index(draft: Draft, previous: Site | None, progress: Callable[[int, int], None] | None) -> FenceIndex:
    """The index of the draft's fences: that of `previous` edited, where that is less work than a new one."""
    shapes = [fence.shape for fence in draft.fences]
    if previous is None or previous.index.is_worn:
        return FenceIndex.build(shapes, progress=progress)
    # a fence that did not change has the very same shape: see `read_draft`
    number = {id(fence.shape): n for n, fence in enumerate(previous.draft.fences)}
    kept = np.array([number.get(id(shape), -1) for shape in shapes], np.int64)
    fresh = np.flatnonzero(kept < 0)
    changed = max(len(fresh), previous.index.size - (len(shapes) - len(fresh)))
    if changed == 0:
        return previous.index
    if changed > max(EDIT_MIN, EDIT_SHARE * len(shapes)):
        return FenceIndex.build(shapes, progress=progress)
    return previous.index.edited(kept, [shapes[n] for n in fresh])
