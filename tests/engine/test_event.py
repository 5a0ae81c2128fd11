"""Events and changes of users: what is taken, in which order, and that all of it can be written out again."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.event import decode_events, decode_user
from engine.outward import to_json
from engine.rejection import DEPTH_MAX, BodyError
from engine.settings import PingLimits
from engine.wire import Happened, UserChanged, decode_frame, encode_frame

NOW_MS = 1_795_593_600_000
DAY_MS = 86_400_000
EVENT: dict[str, Any] = {"id": "e-1", "user": "u-7", "type": "purchase", "time": NOW_MS, "data": {"sku": "tea"}}


def decoded(body: Any, keep_ms: int = DAY_MS) -> Any:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return decode_events(data, ndjson=False, now_ms=NOW_MS, limits=PingLimits(max_batch=5), keep_ms=keep_ms)


def nested(depth: int) -> dict[str, Any]:
    """An object in an object, so many of them."""
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"d": value}
    return value


def test_events_and_changes_keep_the_order_of_the_body() -> None:
    body = [EVENT, EVENT | {"id": "e-2", "type": "user.updated", "data": {"locale": "ja"}}, EVENT | {"data": None}]
    assert decoded(body).inputs == [
        Happened("u-7", "e-1", "purchase", NOW_MS, {"sku": "tea"}),
        UserChanged("u-7", locale="ja", id="e-2", time_ms=NOW_MS),
        Happened("u-7", "e-1", "purchase", NOW_MS, {}),
    ]


def test_the_limits_themselves_are_taken() -> None:
    good = [EVENT | {"time": NOW_MS - DAY_MS}, EVENT | {"time": NOW_MS + 60_000}, EVENT | {"id": "x" * 256}]
    assert not decoded([*good, EVENT | {"data": nested(DEPTH_MAX)}, EVENT | {"data": {"n": -(2**63)}}]).rejected
    bad = [EVENT | {"time": NOW_MS - DAY_MS - 1}, EVENT | {"time": NOW_MS + 60_001}, EVENT | {"id": "x" * 257}]
    got = decoded([*bad, EVENT | {"data": nested(DEPTH_MAX + 1)}, EVENT | {"data": {"n": -(2**63) - 1}}])
    assert [r.reason.value for r in got.rejected] == [
        "too_old", "in_future", "out_of_range", "out_of_range", "out_of_range",
    ]  # fmt: skip


def test_a_batch_above_the_limit_is_413_and_what_is_no_list_400() -> None:
    for body, status in (([EVENT] * 6, 413), (b"7", 400), (b"", 400), (b"[" * 100_000, 400)):
        with pytest.raises(BodyError) as caught:
            decoded(body)
        assert caught.value.status == status


def test_null_removes_and_what_is_not_written_stays() -> None:
    change = decode_user("u", b'{"locale": null, "consent": {"a": null}, "attributes": {"b": null}}')
    assert change == UserChanged("u", attributes={"b": None}, consent={"a": None}, locale=None)
    assert decode_user("u", b"{}") == UserChanged("u")
    assert decode_user("u", b"{}").timezone is msgspec.UNSET


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("attribute", "did you mean `attributes`?"),
        ("zzz", "known are `attributes`, `consent`, `locale`, `timezone`, `tokens`"),
    ],
)
def test_what_is_not_a_users_is_told_with_what_was_meant(name: str, known: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode_user("u", json.dumps({name: {"tier": "gold"}}).encode())
    own = "what is the app's own goes under `attributes`"
    assert caught.value.text == f"`{name}` is no field of a user, {own}, {known}"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.text(max_size=5), _json, max_size=3))
def test_whatever_is_taken_can_be_kept_and_written_out_again(data: dict[str, Any]) -> None:
    bodies = [json.dumps(EVENT | {"data": data}), json.dumps({"attributes": data})]
    inputs = decoded(bodies[0].encode()).inputs
    try:
        inputs = [*inputs, decode_user("u", bodies[1].encode())]
    except BodyError as error:
        assert error.status == 400
    assert len(inputs) in (0, 2), "both are judged alike"
    assert decode_frame(encode_frame(NOW_MS, inputs)).inputs == inputs
    for item in inputs:
        to_json(item.data if isinstance(item, Happened) else item.attributes)
