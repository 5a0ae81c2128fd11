"""The description of the HTTP interface is true: routes, words, shapes of answers; and what no route matches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from ruamel.yaml import YAML

from connectors.clock import MachineClock
from connectors.http_answers import _ERRORS
from connectors.http_api import HttpSettings, make_app
from connectors.metrics import Metrics
from connectors.metrics_table import CODES, ROUTES
from engine.ping import judge_pings
from engine.ports import DeliveryState
from engine.rejection import RejectReason
from engine.settings import PingLimits
from rules.facts import Reason
from tests.connectors.http_world import PING, T0, MemoryIntake, Served, over_http

SPEC: dict[str, Any] = YAML(typ="safe", pure=True).load((Path(__file__).parents[2] / "docs/openapi.yaml").read_text())
SCHEMAS: dict[str, Any] = SPEC["components"]["schemas"]
METHODS = ("get", "put", "post", "delete")


def fits(value: Any, schema: str) -> bool:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": SPEC["components"]}
    return bool(Draft202012Validator(whole).is_valid(value))


def described() -> set[tuple[str, str]]:
    return {(m.upper(), path) for path, item in SPEC["paths"].items() for m in item if m in METHODS}


def test_the_description_is_openapi() -> None:
    validate(SPEC)


def test_the_description_has_no_words_torn_off_by_a_comma() -> None:
    def torn(value: Any) -> bool:
        if isinstance(value, dict):
            return any(v is None or torn(v) for v in value.values())
        return isinstance(value, list) and any(map(torn, value))

    assert not torn(SPEC)


def test_every_route_is_described_and_every_description_is_a_route() -> None:
    app = make_app(MemoryIntake(), HttpSettings(), Metrics(), MachineClock())
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method not in ("HEAD", "*")
    }
    assert served == described()
    assert {path for _, path in served} | {"other"} == set(ROUTES)


def test_every_status_that_is_described_is_counted_from_the_start() -> None:
    statuses = {s for item in SPEC["paths"].values() for m in METHODS if m in item for s in item[m]["responses"]}
    assert statuses <= set(CODES)
    assert {str(status) for status in _ERRORS} <= set(CODES)


def test_words_of_the_description_are_those_of_the_code() -> None:
    assert set(SCHEMAS["RejectReason"]["enum"]) == set(RejectReason)
    assert set(SCHEMAS["Decision"]["properties"]["reason"]["enum"]) == set(Reason)
    assert set(SCHEMAS["DeliveryState"]["enum"]) == set(DeliveryState)
    assert set(SCHEMAS["Error"]["properties"]["error"]["enum"]) == set(_ERRORS.values())


def test_every_operation_is_named_once_and_says_who_may_use_it() -> None:
    operations = [item[m] for item in SPEC["paths"].values() for m in METHODS if m in item]
    names = [op["operationId"] for op in operations]
    assert len(set(names)) == len(names)
    open_ones = {path for path, item in SPEC["paths"].items() if item.get("get", {}).get("security") == []}
    assert open_ones == {"/metrics", "/healthz", "/readyz"}


def test_the_examples_of_the_description_are_taken() -> None:
    media = SPEC["paths"]["/v1/pings"]["post"]["requestBody"]["content"]["application/json"]
    for name, example in media["examples"].items():
        got = judge_pings([example["value"]], now_ms=1_795_593_600_120, limits=PingLimits())
        assert not got.rejected, name
        assert fits(example["value"], "Located"), name


@pytest.mark.parametrize(
    "ping",
    [
        PING,
        {**PING, "accuracy": -1, "mocked": None},
        {"device": "d", "time": T0, "beacon": "gateway:a", "rssi": -3.5},
        {"device": "d"},
        {**PING, "lat": 91},
        {**PING, "device": ""},
        {**PING, "device": "d" * 257},
        {**PING, "lat": "1"},
        {"device": "d", "time": T0, "beacon": "gateway:a", "rssi": 0},
        {"device": "d", "time": T0, "beacon": "gateway:a"},
        {"device": "d", "time": True, "lat": 1, "lng": 2},
        [],
    ],
)
def test_what_the_description_refuses_is_refused_and_what_it_takes_is_taken(ping: Any) -> None:
    assert fits(ping, "Located") == (not judge_pings([ping], now_ms=T0, limits=PingLimits()).rejected)


@over_http()
async def test_answers_have_the_shapes_that_are_described(served: Served) -> None:
    await served.http.put("/v1/users/u-7", json={"attributes": {"a": 1}, "consent": {"c": True}})
    assert fits(
        (await served.post("/v1/pings?wait=1s", json=[PING, {}, {**PING, "id": "p", "lat": 99}]))[1], "LocatedTaken"
    )
    assert fits((await served.post("/v1/pings", json=[7]))[1], "LocatedTaken")
    assert fits((await served.post("/v1/events", json=[{"id": "e"}]))[1], "Taken")
    assert fits((await served.get("/v1/users/u-7"))[1], "User")
    for path in ("/v1/users/u-8", "/v1/deliveries?outcome=x", "/v1/places/near", "/nowhere"):
        assert fits((await served.get(path))[1], "Error"), path


# -- what no route matches -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v1/pings/", "/v1/ping", "/v1/users", "/v1/users/a/b", "/v2/pings", "/v1//pings"]
)
@over_http()
async def test_a_path_that_no_route_has_is_404(served: Served, path: str) -> None:
    status, told = await served.get(path)
    assert (status, told["error"]) == (404, "not_found")
    assert served.count("nearcast_requests_total", route="other", code="404") == 1


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/pings", "POST"),
        ("PATCH", "/v1/users/u-7", "DELETE, GET, HEAD, PUT"),
        ("POST", "/metrics", "GET, HEAD"),
        ("OPTIONS", "/v1/events", "POST"),
        ("GET", "/v1/deliveries/k/resend", "POST"),
        ("POST", "/v1/users/a%2Fb", "DELETE, GET, HEAD, PUT"),
    ],
)
@over_http()
async def test_a_method_that_a_route_has_not_is_405_and_says_which_it_has(
    served: Served, method: str, path: str, allowed: str
) -> None:
    async with served.http.request(method, path) as response:
        assert (response.status, response.headers["Allow"]) == (405, allowed)
        assert (await response.json())["error"] == "method_not_allowed"


@over_http()
async def test_what_watches_the_process(served: Served) -> None:
    assert await served.get("/healthz") == (200, {"status": "ok"})
    assert await served.get("/readyz") == (200, {"status": "ready"})
    async with served.http.head("/readyz") as response:
        assert response.status == 200
    served.intake.ready = False
    assert (await served.get("/readyz"))[0] == 503
    assert (await served.get("/healthz"))[0] == 200
    async with served.http.get("/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "nearcast_ready 0.0" in (await response.text())


def test_the_description_is_plain_yaml_that_json_can_carry() -> None:
    assert json.loads(json.dumps(SPEC)) == SPEC
