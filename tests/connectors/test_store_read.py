"""What is asked of the store, and in which shape it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from connectors.store_sqlite import SqliteStore
from engine.ports import DecisionQuery, DeliveryState, StoreError
from engine.wire import Happened, UserChanged
from rules.facts import Kind, Occasion, Outcome, Reason
from tests.connectors.making import T0, commit, decision, delivery, ended, located, message

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore.open(tmp_path / "a.db") as opened:
        yield opened


def test_a_decision_is_written_as_the_contract_says(store: SqliteStore) -> None:
    store.commit(commit(1, decisions=[decision()]))
    (line,) = store.decisions(DecisionQuery())
    assert line == {
        "key": "d-1",
        "rule": "timesale",
        "rule_version": "v1",
        "user": "u-7",
        "device": "d-42",
        "place": "shinjuku",
        "occasion": {"kind": "entered", "id": "o-d-1", "time": "2026-11-25T08:00:00.000Z"},
        "outcome": "send",
        "reason": "sent",
        "clause": None,
        "values": {"tier": "gold"},
        "time": "2026-11-25T08:00:00.005Z",
    }
    assert list(line) == (
        [
            "key",
            "rule",
            "rule_version",
            "user",
            "device",
            "place",
            "occasion",
            "outcome",
            "reason",
            "clause",
            "values",
            "time",
        ]
    )


def test_an_event_without_device_and_place_has_null_there(store: SqliteStore) -> None:
    bought = Occasion(Kind.EVENT, "o-1", T0, "u-7", event_type="purchase", event_id="e-1")
    made = decision(
        occasion=bought, outcome=Outcome.SUPPRESS, reason=Reason.AUDIENCE, clause="audience.all[1].attribute"
    )
    store.commit(commit(1, decisions=[made]))
    (line,) = store.decisions(DecisionQuery())
    assert (line["device"], line["place"], line["clause"]) == (None, None, "audience.all[1].attribute")
    assert line["occasion"]["kind"] == "purchase"


def test_decisions_are_found_by_each_of_their_sides_newest_first(store: SqliteStore) -> None:
    def made(key: str, user: str, rule: str, device: str, at_ms: int) -> None:
        at = Occasion(Kind.ENTERED, f"o-{key}", at_ms, user, device)
        made = decision(key, user, rule=rule, occasion=at, time_ms=at_ms)
        store.commit(commit(store.last_seq() + 1, decisions=[made]))

    made("a", "u-1", "r-1", "d-1", T0)
    made("b", "u-1", "r-2", "d-1", T0)
    made("c", "u-2", "r-1", "d-2", T0 + 10)
    made("d", "u-1", "r-1", "d-1", T0 + 20)

    def keys(**query: object) -> list[str]:
        return [line["key"] for line in store.decisions(DecisionQuery(**query))]  # type: ignore[arg-type]

    assert keys() == ["d", "c", "b", "a"]
    assert keys(user="u-1") == ["d", "b", "a"]
    assert keys(user="u-1", rule="r-1") == ["d", "a"]
    assert keys(rule="r-1", since_ms=T0 + 10) == ["d", "c"]
    assert keys(device="d-1", occasion_ms=T0) == ["b", "a"]
    assert keys(limit=2) == ["d", "c"]
    assert keys(user="nobody") == []


def test_deliveries_are_listed_by_outcome_newest_first(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery(f"k-{n}", created_ms=T0 + n) for n in range(4)]))
    store.commit(commit(2, endings=[ended("k-1", DeliveryState.FAILED), ended("k-2", DeliveryState.FAILED)]))
    assert [line["key"] for line in store.deliveries("failed")] == ["k-2", "k-1"]
    assert [line["key"] for line in store.deliveries("failed", 1)] == ["k-2"]
    assert [line["key"] for line in store.deliveries("pending")] == ["k-3", "k-0"]
    assert len(store.deliveries()) == 4
    assert store.deliveries("failed")[1] == {
        "key": "k-1",
        "decision": "d-1",
        "rule": "timesale",
        "user": "u-7",
        "channel": "push",
        "outcome": "failed",
        "created": "2026-11-25T08:00:00.001Z",
        "expires": "2026-11-25T08:30:00.000Z",
        "ended": "2026-11-25T08:00:00.050Z",
        "attempts": 1,
        "detail": "answered 200",
    }


def test_what_is_pending_comes_oldest_first(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery("k-2", created_ms=T0 + 2), delivery("k-3", created_ms=T0 + 2)]))
    store.commit(commit(2, deliveries=[delivery("k-1", created_ms=T0 + 1)]))
    assert [d.key for d in store.pending()] == ["k-1", "k-2", "k-3"]


def test_the_messages_of_a_decision_are_those_of_the_answer_to_wait(store: SqliteStore) -> None:
    store.commit(commit(1, deliveries=[delivery("k-1"), delivery("k-2", channel="audit")]))
    first = {
        "key": "k-1",
        "channel": "push",
        "title": "Sale",
        "body": "Until six",
        "data": {"place": "Shinjuku"},
        "ttl_s": 1800,
        "collapse_key": "timesale",
    }
    assert store.messages("d-1") == [first, first | {"key": "k-2", "channel": "audit"}]
    assert message().ttl_ms == 1_800_000


def test_an_export_holds_all_that_is_the_users_and_nothing_else(store: SqliteStore) -> None:
    """`d-1` is the user's from the moment it names them; `d-9` was theirs before the oldest kept frame."""
    rows = [
        ("d-1", None, None),
        ("d-1", "u-7", None),
        ("d-2", "u-8", None),
        ("d-1", None, "ibeacon:x"),
        ("d-9", None, None),
        ("d-1", "u-8", None),
        ("d-1", None, None),
        ("u-7", None, None),
    ]
    bought = Happened("u-7", "e-1", "purchase", T0, {"sku": "x"})
    changed = UserChanged("u-7", {"tier": "gold"}, {"location_marketing": True}, locale="ja")
    others = (Happened("u-8", "e-2", "purchase", T0), UserChanged("u-8", {"tier": "no"}))
    store.commit(commit(1, located(rows), bought, changed, *others, decisions=[decision(), decision("d-2", "u-8")]))
    store.commit(commit(2, located([("d-1", None, None)]), deliveries=[delivery(), delivery("k-2", "u-8")]))
    found = store.export("u-7", devices=["d-9"])
    assert [(p["device"], p.get("user"), p["time"][17:19]) for p in found["pings"]] == [
        ("d-1", "u-7", "01"),
        ("d-1", None, "03"),
        ("d-9", None, "04"),
        ("u-7", None, "07"),
    ]
    assert found["pings"][0] == {
        "device": "d-1",
        "user": "u-7",
        "time": "2026-11-25T08:00:01.000Z",
        "received": "2026-11-25T08:00:00.001Z",
        "lat": 36.5,
        "lng": 136.5,
        "accuracy": 12.0,
        "mocked": False,
    }
    assert found["pings"][1] == {
        "device": "d-1",
        "time": "2026-11-25T08:00:03.000Z",
        "received": "2026-11-25T08:00:00.001Z",
        "beacon": "ibeacon:x",
        "rssi": -67.0,
    }
    assert found["posted_events"] == [
        {"id": "e-1", "user": "u-7", "type": "purchase", "time": "2026-11-25T08:00:00.000Z", "data": {"sku": "x"}}
    ]
    assert found["changes"] == [
        {
            "time": "2026-11-25T08:00:00.001Z",
            "attributes": {"tier": "gold"},
            "consent": {"location_marketing": True},
            "locale": "ja",
        }
    ]
    assert [line["key"] for line in found["decisions"]] == ["d-1"]
    assert [(line["key"], line["message"]["data"]["title"]) for line in found["deliveries"]] == [("k-1", "Sale")]


def test_all_versions_of_the_site_are_there_in_order(store: SqliteStore) -> None:
    assert store.site() is None
    store.commit(commit(1, edited=("v1", {"a": b"1"})))
    store.commit(commit(2))
    store.commit(commit(3, edited=("v2", {"a": b"2"})))
    store.commit(commit(4, edited=("v1", {"a": b"1"})))
    assert store.sites() == [(1, "v1"), (3, "v2"), (4, "v1")]
    assert store.site() == ("v1", {"a": b"1"})
    assert store.site_files("v2") == {"a": b"2"}
    with pytest.raises(StoreError, match="version `v9` of the site is not there"):
        store.site_files("v9")
