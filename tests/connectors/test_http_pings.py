"""POST /v1/pings: what is answered, and that what is answered is what happened."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from connectors.http_api import HttpSettings
from connectors.intake import Busy, Unavailable
from engine.settings import PingLimits
from tests.connectors.http_world import PING, T0, Served, over_http, serving

HEARD = {"device": "d-9", "time": T0, "beacon": "gateway:door-3", "rssi": -60}


def balanced(served: Served) -> None:
    """Received is accepted, duplicate and rejected together."""
    total = sum(
        served.count("nearcast_pings_rejected_total", reason=reason)
        for reason in (
            "missing_field", "wrong_type", "out_of_range", "not_finite", "too_old", "in_future", "bad_json",
        )
    )  # fmt: skip
    accepted, duplicate = (served.count(f"nearcast_pings_{n}_total") for n in ("accepted", "duplicate"))
    assert served.count("nearcast_pings_received_total") == accepted + duplicate + total


@over_http()
async def test_one_ping_is_taken(served: Served) -> None:
    assert await served.post("/v1/pings", json=PING) == (202, {"accepted": 1, "duplicate": 0, "rejected": []})
    assert served.intake.pings == [("d-42", T0)]


@over_http()
async def test_a_repeated_ping_is_a_duplicate_and_counts_as_one(served: Served) -> None:
    await served.post("/v1/pings", json=[PING, HEARD])
    assert await served.post("/v1/pings", json=[PING, HEARD]) == (202, {"accepted": 0, "duplicate": 2, "rejected": []})
    assert served.count("nearcast_pings_duplicate_total") == 2
    balanced(served)


@over_http()
async def test_bad_pings_are_named_and_harm_no_others(served: Served) -> None:
    body = [PING, {"id": "p-2", "device": "d"}, {**PING, "device": "d-43"}]
    status, told = await served.post("/v1/pings", json=body)
    assert (status, told["accepted"], told["duplicate"]) == (202, 2, 0)
    assert told["rejected"] == [
        {
            "index": 1,
            "reason": "missing_field",
            "detail": "`time` is missing, a ping needs `device`, `time`, `lat` and `lng`",
            "id": "p-2",
        }
    ]
    balanced(served)


@over_http()
async def test_a_body_of_only_bad_pings_is_422_in_the_same_shape_and_counts(served: Served) -> None:
    status, told = await served.post("/v1/pings", json=[{}, 7])
    assert status == 422 and (told["accepted"], told["duplicate"], len(told["rejected"])) == (0, 0, 2)
    assert served.count("nearcast_pings_received_total") == 2
    assert served.count("nearcast_pings_rejected_total", reason="wrong_type") == 1
    balanced(served)


@over_http()
async def test_an_empty_list_is_202_with_zeros(served: Served) -> None:
    assert await served.post("/v1/pings", json=[]) == (202, {"accepted": 0, "duplicate": 0, "rejected": []})


@over_http()
async def test_lines_are_pings(served: Served) -> None:
    body = "\n".join([json.dumps(PING), "{", json.dumps(HEARD), ""])
    for kind in ("application/x-ndjson", "application/x-ndjson; charset=utf-8", "APPLICATION/X-NDJSON"):
        status, told = await served.post("/v1/pings", data=body, headers={"Content-Type": kind})
        assert (status, [r["reason"] for r in told["rejected"]]) == (202, ["bad_json"])
    assert [device for device, _ in served.intake.pings[:2]] == ["d-42", "d-9"]


@pytest.mark.parametrize("body", [b"", b"{", b"7", b"[" * 100_000, b"\xff"])
@over_http()
async def test_what_is_no_json_is_400_and_is_not_counted(served: Served, body: bytes) -> None:
    status, told = await served.post("/v1/pings", data=body)
    assert status == 400 and told["error"] == "bad_request" and told["detail"]
    assert served.count("nearcast_pings_received_total") == 0
    assert served.count("nearcast_requests_total", route="/v1/pings", code="400") == 1


@over_http(HttpSettings(ping=PingLimits(max_batch=3)))
async def test_a_batch_above_the_limit_is_413_and_nothing_of_it_is_kept(served: Served) -> None:
    status, told = await served.post("/v1/pings", json=[PING] * 4)
    assert (status, told["error"]) == (413, "too_large")
    assert served.intake.pings == []
    assert (await served.post("/v1/pings", json=[PING] * 3))[0] == 202


@pytest.mark.parametrize(("refuse", "status"), [(Unavailable(0.2), 503), (Busy(1.2), 429)])
@over_http()
async def test_what_was_not_kept_is_never_2xx_and_says_when_to_come_again(
    served: Served, refuse: Any, status: int
) -> None:
    served.intake.refuse = refuse
    async with served.http.post("/v1/pings", json=PING) as response:
        assert response.status == status
        assert response.headers["Retry-After"] == ("1" if status == 503 else "2")
    assert served.count("nearcast_pings_received_total") == 0
    served.intake.refuse = None
    assert (await served.post("/v1/pings", json=PING))[1]["accepted"] == 1


@over_http()
async def test_a_fault_of_ours_is_500_without_its_words(served: Served) -> None:
    served.intake.breaks = RuntimeError("lat 35.690921")
    status, told = await served.post("/v1/pings", json=PING)
    assert (status, told) == (500, {"error": "internal_error", "detail": "this is our fault, see the log"})
    assert served.count("nearcast_requests_total", route="/v1/pings", code="500") == 1


@over_http()
async def test_the_answer_comes_only_after_the_pings_are_kept(served: Served) -> None:
    served.intake.gate = asyncio.Event()
    asked = asyncio.create_task(served.post("/v1/pings", json=PING))
    await served.get("/healthz")
    assert not asked.done() and served.count("nearcast_requests_in_flight") == 1
    served.intake.gate.set()
    assert (await asked)[0] == 202
    assert served.count("nearcast_requests_in_flight") == 0


# -- wait ----------------------------------------------------------------------------------------------------------


@over_http()
async def test_waiting_adds_what_was_decided(served: Served) -> None:
    served.intake.decided = [{"key": "k", "user": "u-7", "device": "d-42", "rule": "r"}]
    status, told = await served.post("/v1/pings?wait=500ms", json=[PING])
    assert status == 202 and told["decisions"] == served.intake.decided
    assert told["messages"] == [{"key": "k", "channel": "push", "title": "t"}]
    assert "decisions" not in (await served.post("/v1/pings", json=[PING]))[1]


@pytest.mark.parametrize("body", [[], [{}]])
@over_http()
async def test_waiting_for_nothing_adds_empty_lists(served: Served, body: list[Any]) -> None:
    _, told = await served.post("/v1/pings?wait=2s", json=body)
    assert told["decisions"] == told["messages"] == []


@pytest.mark.parametrize("wait", ["", "5", "soon", "-1s", "1.5", "1s1s"])
@over_http()
async def test_a_wait_that_is_no_duration_is_400(served: Served, wait: str) -> None:
    assert (await served.post("/v1/pings", params={"wait": wait}, json=PING))[0] == 400
    assert served.intake.pings == []


@over_http()
async def test_a_long_wait_is_a_wait_of_two_seconds(served: Served) -> None:
    assert (await served.post("/v1/pings?wait=1h", json=PING))[0] == 202


# -- rate ----------------------------------------------------------------------------------------------------------

SLOW = HttpSettings(ping=PingLimits(max_batch=5, max_rate_per_device=0.01))


def burst(device: str, n: int) -> list[dict[str, Any]]:
    return [{**PING, "device": device, "time": T0 + i} for i in range(n)]


@over_http(SLOW)
async def test_a_device_beyond_its_rate_is_429_as_a_whole_and_others_are_not(served: Served) -> None:
    assert (await served.post("/v1/pings", json=burst("d-1", 5)))[0] == 202
    async with served.http.post("/v1/pings", json=[*burst("d-2", 1), *burst("d-1", 1)]) as response:
        assert response.status == 429 and 90 <= int(response.headers["Retry-After"]) <= 100
    assert len(served.intake.pings) == 5
    assert (await served.post("/v1/pings", json=burst("d-2", 5)))[0] == 202


@over_http(SLOW)
async def test_what_was_not_kept_does_not_count_against_the_rate(served: Served) -> None:
    served.intake.refuse = Unavailable(1)
    assert (await served.post("/v1/pings", json=burst("d-1", 5)))[0] == 503
    served.intake.refuse = None
    assert (await served.post("/v1/pings", json=burst("d-1", 5)))[0] == 202


def test_the_counts_balance_over_a_mixed_life() -> None:
    async def main() -> None:
        async with serving() as served:
            for i in range(40):
                pings = [{**PING, "time": T0 - i % 3, "device": f"d-{i % 5}"}, {"device": i}, HEARD][: i % 4]
                await served.post("/v1/pings", json=pings)
                await served.post("/v1/pings", data=b"{")
            balanced(served)
            assert served.count("nearcast_pings_received_total") == sum(i % 4 for i in range(40))
            assert served.count("nearcast_pings_accepted_total") + served.count(
                "nearcast_pings_duplicate_total"
            ) == len(served.intake.pings)

    asyncio.run(main())


def test_a_server_that_stops_answers_what_is_under_way_and_takes_nothing_more() -> None:
    async def main() -> None:
        async with serving() as served:
            served.intake.gate = asyncio.Event()
            asked = asyncio.create_task(served.post("/v1/pings", json=PING))
            while served.count("nearcast_requests_in_flight") < 1:
                await served.get("/healthz")
            stopping = asyncio.create_task(served.server.stop())
            await asyncio.sleep(0)
            served.intake.gate.set()
            assert (await asked)[0] == 202
            await stopping
            with pytest.raises(OSError):
                await asyncio.open_connection("127.0.0.1", served.port)

    asyncio.run(main())
