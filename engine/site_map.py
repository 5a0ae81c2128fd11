"""The map of a site: its fences as their files have them, and the index over them. What of a version is dear to make.

Owns what of one map goes into the next: the fences of files that did not change, and the index, edited where few fences
did. Owns too the map as plain arrays, so that a start need not make it anew. Must not know rules, nor the disk.
"""

from __future__ import annotations

import sys
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson

from engine.detection_block import DetectionBlock
from engine.fences import FenceDraft
from geo.index import FenceIndex
from geo.kept import arrays_of_index, arrays_of_shapes, index_of, shapes_of
from rules.place import Place, PlaceKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from geo.border import Borders
    from geo.kept import Arrays

#: Of an edit that changes more fences than this share of all, and than so many, the index is built anew.
EDIT_SHARE: Final = 0.05
EDIT_MIN: Final = 200


@dataclass(frozen=True, slots=True, eq=False)
class SiteMap:
    """The fences ascending by id, numbered so by `index` and `borders`; `digests` are of the files that they are from.

    A file with the digest that it has here has the fences that it has here.
    """

    digests: Mapping[str, bytes]
    fences: Sequence[FenceDraft]
    index: FenceIndex
    borders: Borders


def make_map(
    digests: Mapping[str, bytes],
    fences: Sequence[FenceDraft],
    *,
    previous: SiteMap | None,
    progress: Callable[[int, int], None] | None,
) -> SiteMap:
    """The map of these fences, with the index of `previous` where that is less work than a new one.

    A fence that did not change has the very same shape as in `previous`.
    """
    index = _index(fences, previous, progress)
    borders = previous.borders if previous is not None and index is previous.index else index.borders
    return SiteMap(digests, fences, index, borders)


def _index(
    fences: Sequence[FenceDraft], previous: SiteMap | None, progress: Callable[[int, int], None] | None
) -> FenceIndex:
    shapes = [fence.shape for fence in fences]
    if previous is None or previous.index.is_worn:
        return FenceIndex.build(shapes, progress=progress)
    number = {id(fence.shape): n for n, fence in enumerate(previous.fences)}
    kept = np.array([number.get(id(shape), -1) for shape in shapes], np.int64)
    fresh = np.flatnonzero(kept < 0)
    changed = max(len(fresh), previous.index.size - (len(shapes) - len(fresh)))
    if changed == 0:
        return previous.index
    if changed > max(EDIT_MIN, EDIT_SHARE * len(shapes)):
        return FenceIndex.build(shapes, progress=progress)
    return previous.index.edited(kept, [shapes[n] for n in fresh])


def arrays_of_map(site_map: SiteMap) -> Arrays | None:
    """The map as arrays by name; None if a fence has free data that JSON as we write it has no words for."""
    fences = site_map.fences
    paths = {path: n for n, path in enumerate(site_map.digests)}
    said = {
        "files": {path: digest.hex() for path, digest in site_map.digests.items()},
        "fences": [
            (
                fence.place.id, fence.place.name, sorted(fence.place.tags), fence.place.group, fence.place.timezone,
                fence.place.data, None if fence.block == DetectionBlock() else astuple(fence.block),
                paths[fence.file], fence.line, fence.column,
            )
            for fence in fences
        ],
    }  # fmt: skip
    try:
        text = orjson.dumps(said)
    except orjson.JSONEncodeError:
        return None
    shapes = arrays_of_shapes([fence.shape for fence in fences])
    return {"said": np.frombuffer(text, np.uint8)} | shapes | arrays_of_index(site_map.index)


def map_of(arrays: Arrays) -> SiteMap:
    """The map of `arrays_of_map`: the same fences and an index that gives the same answers.

    >>> from engine.site import read_site
    >>> map_of(arrays_of_map(read_site({})[0].map)).fences
    ()
    """
    said: Any = orjson.loads(arrays["said"].tobytes())
    paths = tuple(said["files"])
    tags_seen: dict[tuple[str, ...], frozenset[str]] = {}
    fences = []
    for shape, (id_, name, tags, group, zone, data, block, path, line, column) in zip(
        shapes_of(arrays), said["fences"], strict=True
    ):
        place = Place(
            id=id_,
            kind=PlaceKind.FENCE,
            name=name,
            tags=tags_seen.setdefault(tuple(tags), frozenset(tags)),
            group=None if group is None else sys.intern(group),
            timezone=None if zone is None else sys.intern(zone),
            data=data,
        )
        judged = DetectionBlock() if block is None else DetectionBlock(*block)
        fences.append(FenceDraft(place, shape, judged, paths[path], line, column))
    index = index_of(arrays)
    digests = {path: bytes.fromhex(digest) for path, digest in said["files"].items()}
    return SiteMap(digests, tuple(fences), index, index.borders)
