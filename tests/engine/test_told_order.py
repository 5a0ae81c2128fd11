"""What is told at one instant comes by the names of devices, however long they are and whatever their letters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.name_keys import NameKeys
from engine.wire import Erased
from tests.world import T0, Stage, at, files_of, site_of, square

SITE = site_of(files_of([square("a"), square("b")], settings="detection: {preset: instant}"))
BEGINNINGS = ["", "d", "phone-of-somebody-", "phone-of-someone-", "電話番号の持ち主", "é", "\U0001f600" * 5]
NAMES = st.builds(
    str.__add__, st.sampled_from(BEGINNINGS), st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=4)
).filter(bool)


def entered(stage: Stage, names: list[str], seconds: int) -> list[tuple[str, str]]:
    """Everybody enters both squares at one instant of one request: who, and where, as it is told."""
    time_ms, (lat, lng) = T0 + 1_000 * seconds, at(0.0)
    effects = stage.post(*({"device": name, "time": time_ms, "lat": lat, "lng": lng} for name in names))
    return [(told.device, told.place.id) for told in effects.transitions]


@pytest.mark.parametrize("few", [0, 1_000], ids=["many", "few"])
@given(names=st.lists(NAMES, min_size=1, max_size=12, unique=True), later=st.lists(NAMES, max_size=6, unique=True))
def test_devices_come_by_name_whoever_had_their_numbers_before(few: int, names: list[str], later: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("engine.told._FEW", few)
        by_name(names, later)


def by_name(names: list[str], later: list[str]) -> None:
    """They come so, and so do others who get the numbers of some that were erased."""
    stage = Stage(SITE)
    assert entered(stage, names, 0) == [(name, place) for name in sorted(names) for place in "ab"]
    stage.step([Erased(name) for name in names[::2]])
    new = [name for name in later if name not in names]
    if new:
        assert entered(stage, new, 1) == [(name, place) for name in sorted(new) for place in "ab"]


@given(st.lists(st.text(), min_size=2, max_size=20))
def test_keys_come_as_the_names_do(names: list[str]) -> None:
    high, low = NameKeys().of(np.arange(len(names)), names)
    keys = dict(zip(names, zip(high.tolist(), low.tolist(), strict=True), strict=True))
    in_order = [keys[name] for name in sorted(names)]
    assert in_order == sorted(in_order)
