"""What is told at one instant comes by the names of devices, however long they are and whatever their letters."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.layout import ENTERED, EXITED, MOVED, TOLD, WITH
from engine.name_keys import NameKeys
from engine.told_order import put_in_order
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


@given(names=st.lists(NAMES, min_size=1, max_size=12, unique=True), later=st.lists(NAMES, max_size=6, unique=True))
def test_devices_come_by_name_whoever_had_their_numbers_before(names: list[str], later: list[str]) -> None:
    stage = Stage(SITE)
    assert entered(stage, names, 0) == [(name, place) for name in sorted(names) for place in "ab"]
    stage.step([Erased(name) for name in names[::2]])
    new = [name for name in later if name not in names]
    if new:
        assert entered(stage, new, 1) == [(name, place) for name in sorted(new) for place in "ab"]


@given(st.lists(st.text(), min_size=2, max_size=20))
def test_keys_come_as_the_names_do(names: list[str]) -> None:
    records = np.zeros(len(names), TOLD)
    records["slot"] = np.arange(len(names))
    high, low = NameKeys().of(records, names).T
    keys = dict(zip(names, zip(high.tolist(), low.tolist(), strict=True), strict=True))
    in_order = [keys[name] for name in sorted(names)]
    assert in_order == sorted(in_order)


RANK = np.array([2, 0, 1])
RECORDS = st.lists(
    st.tuples(
        st.integers(-1, 2), st.integers(0, 2), st.integers(0, 3), st.integers(0, 1),
        st.sampled_from([MOVED, WITH, EXITED, ENTERED]), st.integers(0, 2),
    ),
    max_size=40,
)  # fmt: skip


@given(told=RECORDS, are_apart=st.booleans(), has_hands=st.booleans())
def test_records_come_as_sorted_has_them_and_equal_ones_as_they_were(
    told: list[tuple[int, ...]], are_apart: bool, has_hands: bool
) -> None:
    records, keys, hands = np.zeros(len(told), TOLD), np.zeros((len(told), 2), np.uint64), np.zeros(len(told), np.int64)
    for n, (request, time_ms, slot, changed, kind, place) in enumerate(told):
        records[n]["request"], records[n]["time_ms"], records[n]["slot"] = request, time_ms, slot
        # a change of hands has a user as its place, who may have any number
        records[n]["kind"], records[n]["place"] = kind, 1_000 if kind == MOVED else place
        keys[n] = (7 - slot, 0) if are_apart else (2**63, 2**64 - 1 - slot // 2)
        hands[n] = changed
    order, aside = np.empty(len(told), np.int64), np.empty(len(told), np.int64)
    shared = put_in_order(records, keys, hands if has_hands else hands[:0], RANK, order, aside)

    def place_in_order(n: int) -> tuple[object, ...]:
        request, time_ms, _, changed, kind, place = told[n]
        within = (changed if has_hands else 0), kind, 0 if kind == MOVED else RANK[place]
        return request, time_ms, tuple(keys[n].tolist()), *within

    assert order.tolist() == sorted(range(len(told)), key=place_in_order)
    named: dict[object, set[int]] = {}
    for n, (request, time_ms, slot, *_) in enumerate(told):
        named.setdefault((request, time_ms, *keys[n].tolist()), set()).add(slot)
    assert shared == any(len(slots) > 1 for slots in named.values())
