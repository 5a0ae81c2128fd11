"""A store goes on under the version of the site that is kept in it, whatever is asked of new versions by now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.store_sqlite import SqliteStore
from engine.ports import Checkpoint, Commit, StoreError
from engine.site import read_site
from engine.snapshot import snapshot
from engine.step import Engine
from engine.wire import Edited, encode_frame
from nearcast.recover import recover
from tests.world import T0, circle, files_of

if TYPE_CHECKING:
    from pathlib import Path

#: What new versions are held against: it messages people, and asks them for no consent.
RULE = """
id: hello
state: live
trigger: {event: purchase}
actions: [{push: {template: hello}}]
"""


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_version_that_would_be_refused_today_goes_on(tmp_path: Path, checkpoint: bool) -> None:
    files = files_of([circle("shop")], RULE)
    refused, mistakes = read_site(files)
    assert refused is None and "consent" in str(mistakes[0])
    site, _ = read_site(files, was_in_force=True)
    assert site is not None
    edited = Edited(site.version, dict(site.files))
    with SqliteStore.open(tmp_path / "store.db") as store:
        store.commit(Commit(1, T0, encode_frame(T0, [edited]), edited=(site.version, dict(site.files))))
        if checkpoint:
            engine = Engine(site, T0)
            store.save_checkpoint(Checkpoint(1, T0, snapshot(engine)))
        back = recover(store, T0)
        assert (back.seq, back.tail, back.engine.site.version) == (1, 0 if checkpoint else 1, site.version)
        assert [rule.id for rule in back.engine.site.rules.rules] == ["hello"]


def test_a_frame_that_cannot_be_read_is_named_with_its_mend(tmp_path: Path) -> None:
    with SqliteStore.open(tmp_path / "a.db") as store:
        store.commit(Commit(1, 5, b"\x01 whole by its checksum, and no frame"))
        with pytest.raises(StoreError, match=r"frame `1` of the journal: .*, restore a copy"):
            recover(store, 5)
