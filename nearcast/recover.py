"""From a store back to the state: the newest checkpoint, then the fold of the frames after it.

Owns the order: checkpoint, its version of the site, the tail. Must not know what the process does afterwards. The
same is done at a start, after a failed commit, and to look at a store from outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.snapshot import restore, site_version
from engine.step import Engine
from geo.mistake import MistakesError
from nearcast.frames_ahead import frames_ahead
from nearcast.next_site import read_next

if TYPE_CHECKING:
    from collections.abc import Callable

    from connectors.store_sqlite import SqliteStore
    from engine.site import Site
    from engine.site_map import SiteMap


@dataclass(slots=True)
class Recovered:
    """The state of a store: the engine after frame `seq`, and how many frames were folded onto the checkpoint.

    `rows` is what these frames hold, `checkpoint_ms` when the checkpoint was taken (None: there is none), and `damaged`
    how many newer ones cannot be read. `differences` counts decisions that came out otherwise than they are stored;
    what is stored stands.
    """

    engine: Engine
    seq: int
    tail: int = 0
    rows: int = 0
    checkpoint_ms: int | None = None
    damaged: int = 0
    differences: int = 0


def compiled(files: dict[str, bytes], previous: SiteMap | None = None, *, was_in_force: bool = False) -> Site:
    """The site of these files; `previous` lends what is the same. Raises `MistakesError` with all mistakes if any.

    A version that `was_in_force` is not held against what is checked today and was not then.
    """
    site, mistakes = read_next(files, previous, was_in_force=was_in_force)
    if site is None:
        raise MistakesError(mistakes)
    return site


def recover(
    store: SqliteStore,
    now_ms: int,
    *,
    known: Site | None = None,
    progress: Callable[[int], None] | None = None,
) -> Recovered:
    """Fold a store to its end. An empty store gives an engine of the empty site, as of `now_ms`.

    `known` is a site that need not be compiled again. `progress` is told the number of frames folded so far.
    """
    checkpoint = store.checkpoint()
    if checkpoint is None:
        first = next(iter(store.frames(0)), None)
        engine = Engine(compiled({}), first.now_ms if first else now_ms)
        recovered = Recovered(engine, 0)
    else:
        version = site_version(checkpoint.state)
        if known is not None and known.version == version:
            site = known
        else:
            site = compiled(store.site_files(version), known.map if known is not None else None, was_in_force=True)
        recovered = Recovered(
            restore(checkpoint.state, site), checkpoint.seq, checkpoint_ms=checkpoint.now_ms, damaged=checkpoint.damaged
        )
    if known is not None:
        recovered.engine.prepare(known)
    for frames in frames_ahead(store, recovered.seq):
        effects = frames.fold(recovered.engine)
        if effects.decisions:
            recovered.differences += store.count_differences(effects.decisions)
        recovered.seq, recovered.tail, recovered.rows = (
            frames.seq, recovered.tail + frames.count, recovered.rows + frames.rows
        )  # fmt: skip
        if progress is not None:
            progress(recovered.tail)
    return recovered
