"""Events, users, places, decisions, deliveries over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from connectors.intake import Unavailable
from engine.ids import instant
from tests.connectors.http_world import PING, T0, Served, over_http

EVENT: dict[str, Any] = {"id": "e-1", "user": "u-7", "type": "purchase", "time": T0, "data": {"sku": "tea"}}
USER: dict[str, Any] = {
    "attributes": {"tier": "gold", "tags": ["a", {"b": 1.5}]},
    "consent": {"location_marketing": True},
    "locale": "ja",
    "timezone": "Asia/Tokyo",
    "tokens": {"fcm": "t-1"},
}


async def put(served: Served, user: str, value: Any) -> tuple[int, str]:
    async with served.http.put(f"/v1/users/{user}", json=value) as response:
        return response.status, await response.text()


# -- events --------------------------------------------------------------------------------------------------------


@over_http()
async def test_events_are_taken_once(served: Served) -> None:
    body = [EVENT, {**EVENT, "id": "e-2"}, {**EVENT, "user": "u-8"}]
    assert await served.post("/v1/events", json=body) == (202, {"accepted": 3, "duplicate": 0, "rejected": []})
    assert (await served.post("/v1/events", json=EVENT))[1] == {"accepted": 0, "duplicate": 1, "rejected": []}
    first = served.intake.events[0]
    assert (first.user, first.id, first.type, first.data) == ("u-7", "e-1", "purchase", {"sku": "tea"})
    assert served.count("nearcast_events_received_total") == 4
    assert served.count("nearcast_events_duplicate_total") == 1


@over_http()
async def test_an_event_that_updates_a_user_merges_its_data_in_the_order_of_the_body(served: Served) -> None:
    body = [
        EVENT,
        {**EVENT, "id": "e-2", "type": "user.updated", "data": {"attributes": {"tier": "gold", "age": 3}}},
        {**EVENT, "id": "e-3", "type": "user.updated", "data": {"attributes": {"age": None}, "consent": {"x": False}}},
        {**EVENT, "id": "e-4"},
    ]
    assert (await served.post("/v1/events", json=body))[1]["accepted"] == 4
    assert (await served.get("/v1/users/u-7"))[1] == {
        "attributes": {"tier": "gold"},
        "consent": {"x": False},
        "locale": None,
        "timezone": None,
        "tokens": {},
    }


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"id": None}, "missing_field"), ({"time": None}, "missing_field"), ({"user": None}, "missing_field"),
        ({"type": None}, "missing_field"), ({"id": 7}, "wrong_type"), ({"data": []}, "wrong_type"),
        ({"time": "today"}, "wrong_type"), ({"user": ""}, "out_of_range"), ({"id": "a\0"}, "out_of_range"),
        ({"type": "entered"}, "out_of_range"), ({"data": {"x": "\ud800"}}, "out_of_range"),
        ({"data": {"n": 2**64}}, "out_of_range"), ({"data": {"\udfff": 1}}, "out_of_range"),
        ({"time": T0 + 3_600_000}, "in_future"), ({"time": 1}, "too_old"),
        ({"type": "user.updated", "data": {"tier": "gold"}}, "wrong_type"),
        ({"type": "user.updated", "data": {"timezone": "Mars/Base"}}, "out_of_range"),
        ({"type": "user.updated", "data": {"consent": {"x": "yes"}}}, "wrong_type"),
    ],
)  # fmt: skip
@over_http()
async def test_a_bad_event_is_refused_alone(served: Served, wrong: dict[str, Any], reason: str) -> None:
    body = json.dumps([EVENT, {**EVENT, "id": "e-2", **wrong}])
    status, told = await served.post("/v1/events", data=body)
    assert (status, told["accepted"], [(r["index"], r["reason"]) for r in told["rejected"]]) == (202, 1, [(1, reason)])
    assert served.count("nearcast_events_rejected_total", reason=reason) == 1


@over_http()
async def test_data_that_cannot_be_kept_is_refused(served: Served) -> None:
    deep: Any = 1
    for _ in range(40):
        deep = {"d": deep}
    body = [json.dumps({**EVENT, "data": deep}), json.dumps(EVENT).replace('"tea"', "1e400")]
    body.append(json.dumps(EVENT).replace('"tea"', "NaN"))
    status, told = await served.post("/v1/events", data=f"[{','.join(body)}]")
    assert status == 422
    assert [r["reason"] for r in told["rejected"]] == ["out_of_range", "not_finite", "not_finite"]


@over_http()
async def test_events_come_in_lines_too_and_old_ones_may_be_told_later(served: Served) -> None:
    lines = [json.dumps({**EVENT, "time": instant(T0 - 300 * 86_400_000)}), "{", "[]"]
    headers = {"Content-Type": "application/x-ndjson"}
    status, told = await served.post("/v1/events", data="\n".join(lines), headers=headers)
    assert (status, [r["reason"] for r in told["rejected"]]) == (202, ["bad_json", "wrong_type"])


@over_http()
async def test_events_that_could_not_be_kept_are_503(served: Served) -> None:
    served.intake.refuse = Unavailable(1)
    assert (await served.post("/v1/events", json=EVENT))[0] == 503
    assert served.count("nearcast_events_received_total") == 0


# -- users ---------------------------------------------------------------------------------------------------------


@over_http()
async def test_a_user_reads_as_it_was_written(served: Served) -> None:
    assert await put(served, "u-7", USER) == (204, "")
    assert await served.get("/v1/users/u-7") == (200, USER)


@over_http()
async def test_writing_merges_and_null_removes(served: Served) -> None:
    await put(served, "u-7", USER)
    change = {"attributes": {"tier": None, "size": 3}, "locale": None, "consent": {"location_marketing": None}}
    await put(served, "u-7", change)
    assert (await served.get("/v1/users/u-7"))[1] == {
        "attributes": {"tags": ["a", {"b": 1.5}], "size": 3},
        "consent": {},
        "locale": None,
        "timezone": "Asia/Tokyo",
        "tokens": {"fcm": "t-1"},
    }


@pytest.mark.parametrize(
    "body",
    [
        "", "{", "[]", "7", '"u"', "NaN", '{"attribute": {}}', '{"attributes": []}', '{"attributes": null}',
        '{"consent": true}', '{"consent": {"a": 1}}', '{"locale": 5}', '{"locale": ""}', '{"timezone": "Tokyo"}',
        '{"timezone": "../../etc/passwd"}', '{"tokens": "t"}', '{"attributes": {"a": NaN}}',
        '{"attributes": {"a": 1e999}}', '{"attributes": {"a": "\\ud800"}}',
    ],
)  # fmt: skip
@over_http()
async def test_a_user_that_cannot_be_read_is_400_and_changes_nothing(served: Served, body: str) -> None:
    async with served.http.put("/v1/users/u-7", data=body) as response:
        assert response.status == 400 and (await response.json())["error"] == "bad_request"
    assert served.intake.people.users == {}


@over_http()
async def test_a_field_that_is_no_users_is_told_with_what_was_meant(served: Served) -> None:
    status, text = await put(served, "u-7", {"consents": {}})
    assert status == 400 and "did you mean `consent`?" in text


@pytest.mark.parametrize("user", ["a b", "a/b", "a?b#c", "日本", "%", ".", "..", "u" * 256, "+", "a%2Fb"])
@over_http()
async def test_an_id_in_a_path_may_be_any_text(served: Served, user: str) -> None:
    from urllib.parse import quote

    from yarl import URL

    path = quote(user, safe="").replace(".", "%2E")
    url = URL(f"http://127.0.0.1:{served.port}/v1/users/{path}", encoded=True)
    async with served.http.put(url, json={"attributes": {"a": 1}}) as response:
        assert response.status == 204
    assert list(served.intake.people.users) == [user]
    async with served.http.get(url) as response:
        assert (await response.json())["attributes"] == {"a": 1}


@pytest.mark.parametrize("user", ["a%00", "u" * 257, "%0A", "%FF", "x%ffy", "%E3%81"])
@over_http()
async def test_an_id_in_a_path_that_cannot_be_one_is_400(served: Served, user: str) -> None:
    from yarl import URL

    url = URL(f"http://127.0.0.1:{served.port}/v1/users/{user}", encoded=True)
    async with served.http.get(url) as response:
        assert response.status == 400
    async with served.http.put(url, json={"attributes": {"a": 1}}) as response:
        assert response.status == 400
    assert not served.intake.people.users


@over_http()
async def test_nobody_is_404_until_something_was_written(served: Served) -> None:
    assert (await served.get("/v1/users/u-7"))[0] == 404
    assert (await served.get("/v1/users/u-7/export"))[0] == 404
    await put(served, "u-7", USER)
    assert (await served.get("/v1/users/u-7/export"))[1]["attributes"] == USER["attributes"]


@over_http()
async def test_a_user_is_forgotten_known_or_not(served: Served) -> None:
    await put(served, "u-7", USER)
    for user in ("u-7", "u-8"):
        async with served.http.delete(f"/v1/users/{user}") as response:
            assert (response.status, await response.text()) == (204, "")
    assert served.intake.erased == ["u-7", "u-8"]
    assert (await served.get("/v1/users/u-7"))[0] == 404


# -- places --------------------------------------------------------------------------------------------------------


@over_http()
async def test_places_near_are_the_nearest_first(served: Served) -> None:
    status, told = await served.get("/v1/places/near", params={"lat": "35.66", "lng": "139.70"})
    assert (status, [p["id"] for p in told]) == (200, ["shibuya", "shinjuku"])
    assert len((await served.get("/v1/places/near?lat=35.66&lng=139.70&limit=1"))[1]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "",
        "lat=35",
        "lng=139",
        "lat=a&lng=1",
        "lat=91&lng=1",
        "lat=1&lng=181",
        "lat=nan&lng=1",
        "lat=inf&lng=0",
        "lat=1_0&lng=1",
        "lat=%EF%BC%91&lng=1",
        "lat=1e999&lng=1",
    ],
)
@over_http()
async def test_a_point_that_is_none_is_400(served: Served, query: str) -> None:
    assert (await served.get(f"/v1/places/near?{query}"))[0] == 400


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "", "ten", "٣", "9" * 30])
@over_http()
async def test_a_limit_that_is_no_count_is_400(served: Served, limit: str) -> None:
    for path in ("/v1/places/near?lat=1&lng=1", "/v1/users/u/decisions?x=", "/v1/deliveries?x="):
        assert (await served.get(f"{path}&limit={limit}"))[0] == 400, path


@over_http()
async def test_who_is_at_a_place(served: Served) -> None:
    await served.post("/v1/pings", json=PING)
    assert await served.get("/v1/places/shinjuku/present") == (200, [{"device": "d-42"}])
    assert (await served.get("/v1/places/nowhere/present"))[0] == 404


# -- decisions and deliveries --------------------------------------------------------------------------------------


@over_http()
async def test_decisions_of_a_user(served: Served) -> None:
    served.intake.decided = [{"key": str(i), "user": "u-7", "device": "d", "rule": f"r-{i % 2}"} for i in range(150)]
    assert len((await served.get("/v1/users/u-7/decisions"))[1]) == 100
    assert len((await served.get("/v1/users/u-7/decisions?limit=9999"))[1]) == 150
    assert [d["key"] for d in (await served.get("/v1/users/u-7/decisions?rule=r-1&limit=2"))[1]] == ["1", "3"]
    assert await served.get("/v1/users/u-8/decisions") == (200, [])
    assert (await served.get("/v1/users/u-7/decisions?since=noon"))[0] == 400
    assert (await served.get(f"/v1/users/u-7/decisions?since={T0}"))[0] == 200


@over_http()
async def test_deliveries_by_outcome(served: Served) -> None:
    served.intake.sent = {"k-1": "failed", "k-2": "delivered"}
    assert (await served.get("/v1/deliveries?outcome=failed"))[1] == [{"key": "k-1", "outcome": "failed"}]
    assert len((await served.get("/v1/deliveries"))[1]) == 2
    status, told = await served.get("/v1/deliveries?outcome=fialed")
    assert status == 400 and "did you mean `failed`?" in told["detail"]


@over_http()
async def test_only_what_failed_is_sent_again(served: Served) -> None:
    served.intake.sent = {"k-1": "failed", "k-2": "delivered"}
    assert await served.post("/v1/deliveries/k-1/resend") == (202, {"key": "k-1"})
    assert served.intake.sent["k-1"] == "pending"
    assert (await served.post("/v1/deliveries/k-1/resend"))[0] == 409
    assert (await served.post("/v1/deliveries/k-2/resend"))[0] == 409
    assert (await served.post("/v1/deliveries/k-3/resend"))[0] == 404
