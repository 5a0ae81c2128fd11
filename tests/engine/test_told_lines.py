"""Lines that a kernel writes are those that Python writes of each transition."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.layout import CROSSED, TOLD
from engine.outward import to_json, transition_line
from engine.rejection import id_fault
from engine.rfc3339 import FIRST_MS, LAST_MS
from engine.sha256 import PADDING, put_id
from engine.told import CAUSES, Telling
from engine.told_lines import TransitionLines
from rules.place import Place, PlaceKind

IDS = st.text(min_size=1, max_size=256).filter(lambda text: id_fault(text) is None) | st.sampled_from(
    ['a"\\', "é", "d-1"]
)
INSTANTS = st.integers(FIRST_MS, LAST_MS) | st.sampled_from([FIRST_MS, LAST_MS, -1, 0, 951_782_400_000])
PLACES = tuple(Place(name, PlaceKind.FENCE) for name in ("f-1", "駅", "q" * 256, 'say "\\'))
TELLING = st.lists(
    st.tuples(
        IDS, IDS, INSTANTS, INSTANTS, st.integers(0, 2**40), st.integers(0, len(PLACES) - 1), st.integers(0, CROSSED),
        st.integers(0, len(CAUSES) - 1),
    )
)  # fmt: skip


@given(TELLING)
def test_the_lines_of_a_telling_are_those_of_its_transitions(
    told: list[tuple[str, str, int, int, int, int, int, int]],
) -> None:
    records = np.zeros(len(told), TOLD)
    names = ("time_ms", "entered_ms", "dwell_ms", "place", "kind", "cause")
    for name, column in zip(names, list(zip(*told, strict=True))[2:], strict=False):
        records[name] = column
    telling = Telling(records, [one[0] for one in told], [one[1] for one in told], PLACES, {})

    lines = bytes(TransitionLines().of(telling))

    assert lines == b"".join(to_json(transition_line(one)) + b"\n" for one in telling.transitions())


def test_the_names_of_places_are_those_of_the_site_that_it_was_told_under() -> None:
    lines = TransitionLines()
    records = np.zeros(1, TOLD)
    records["kind"] = CROSSED

    made = [
        bytes(lines.of(Telling(records, ["d"], ["d"], places, {}))) for places in (PLACES[:1], PLACES[1:], PLACES[:1])
    ]

    assert [b'"place":"f-1"' in line for line in made] == [True, False, True]
    assert made[0] == made[2]


@pytest.mark.parametrize("size", range(200))
def test_an_id_is_the_first_half_of_sha_256_whatever_its_length(size: int) -> None:
    text = np.arange(7, 7 + size + PADDING, dtype=np.uint16).astype(np.uint8)
    expected, out = sha256(text[:size].tobytes()).hexdigest()[:32], np.zeros(34, np.uint8)

    end = put_id(out, 1, text, size, np.zeros(72, np.uint32))

    assert (end, out.tobytes().decode()) == (33, f"\0{expected}\0")
