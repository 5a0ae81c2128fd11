"""What was decided is listed as it was decided, also of decisions made in one fold."""

from __future__ import annotations

from random import Random

import msgspec

from engine.decided import decided_of
from engine.ports import DecisionQuery
from nearcast.cluster_view import newest
from rules.facts import Kind, Occasion
from tests.connectors.making import T0, decision


def test_decisions_of_one_fold_stand_by_their_occasions_the_newest_first() -> None:
    keys = ["f", "a", "e", "b", "d"]
    occasions = [Occasion(Kind.ENTERED, f"o-{key}", T0 + at, "u-7", "d-42") for at, key in enumerate(keys)]
    made = [
        msgspec.structs.replace(decision(key), occasion=occasion) for key, occasion in zip(keys, occasions, strict=True)
    ]
    later = msgspec.structs.replace(decision("c", time_ms=T0 + 6), occasion=occasions[0])
    kept = [decided_of(one, [], 0, 5) for one in (*made, later)]
    Random(5).shuffle(kept)
    assert [one.key for one in newest(kept, DecisionQuery(user="u-7"))] == ["c", *reversed(keys)]
