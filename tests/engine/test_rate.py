"""The buckets of devices: what fits, how long to wait, and that a crowd is forgotten."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.rate import Rates


def test_a_device_may_send_what_its_bucket_holds_and_then_what_flows_in() -> None:
    rates = Rates(per_s=10.0, holds=100)
    assert rates.take({"d": 100}, 0.0) == 0.0
    assert rates.take({"d": 1}, 0.0) == 0.1
    assert rates.take({"d": 1}, 0.1) == 0.0
    assert rates.take({"d": 100}, 10.0) > 0
    assert rates.take({"d": 100}, 10.1) == 0.0


def test_one_device_beyond_its_rate_takes_nothing_from_the_others() -> None:
    rates = Rates(per_s=1.0, holds=10)
    rates.take({"a": 10}, 0.0)
    assert rates.take({"a": 1, "b": 10}, 0.0) == 1.0
    assert rates.take({"b": 10}, 0.0) == 0.0


def test_what_was_given_back_is_there_again_and_no_more() -> None:
    rates = Rates(per_s=1.0, holds=10)
    rates.take({"a": 10}, 0.0)
    rates.give_back({"a": 10}, 5.0)
    assert rates.take({"a": 10}, 5.0) == 0.0
    assert rates.take({"a": 1}, 5.0) == 1.0


def test_a_clock_that_stands_still_gives_nothing() -> None:
    rates = Rates(per_s=1.0, holds=1)
    assert rates.take({"a": 1}, 9.0) == 0.0
    assert rates.take({"a": 1}, 9.0) == 1.0


def test_a_flood_of_devices_is_forgotten_once_their_buckets_are_full_again() -> None:
    rates = Rates(per_s=1.0, holds=10)
    for i in range(100_000):
        rates.take({f"d-{i}": 1}, i / 1000)
    assert len(rates) < 25_000


@settings(max_examples=100)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 5), st.integers(0, 20)), max_size=60))
def test_no_device_ever_gets_more_than_its_bucket_and_its_flow(asked: list[tuple[str, int, int]]) -> None:
    rates, now_s = Rates(per_s=2.0, holds=5), 0.0
    given: dict[str, list[tuple[float, int]]] = {"a": [], "b": []}
    for device, n, tenths in asked:
        now_s += tenths / 10
        wait_s = rates.take({device: n}, now_s)
        if wait_s == 0.0:
            given[device].append((now_s, n))
        else:
            assert rates.take({device: n}, now_s + wait_s + 1e-9) == 0.0
            rates.give_back({device: n}, now_s + wait_s + 1e-9)
            now_s += wait_s + 1e-9
    for taken in given.values():
        for i, (begin_s, _) in enumerate(taken):
            for j in range(i, len(taken)):
                total = sum(n for _, n in taken[i : j + 1])
                assert total <= 5 + 2.0 * (taken[j][0] - begin_s) + 1e-6
