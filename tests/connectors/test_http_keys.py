"""Keys: each route, each kind of key, each answer."""

from __future__ import annotations

import pytest

from connectors.http_api import HttpSettings
from tests.connectors.http_world import PING, Served, over_http

KEYED = HttpSettings(ingest=("in-1", "in-2"), admin=("ad-1",))
INGEST = [("POST", "/v1/pings"), ("POST", "/v1/events"), ("GET", "/v1/places/near?lat=35&lng=139")]
ADMIN = [
    ("PUT", "/v1/users/u"),
    ("GET", "/v1/users/u"),
    ("DELETE", "/v1/users/u"),
    ("GET", "/v1/users/u/export"),
    ("GET", "/v1/users/u/decisions"),
    ("GET", "/v1/places/p/present"),
    ("GET", "/v1/deliveries"),
    ("POST", "/v1/deliveries/k/resend"),
]
OPEN = [("GET", "/metrics"), ("GET", "/healthz"), ("GET", "/readyz")]


async def status(served: Served, method: str, path: str, authorization: str | None) -> int:
    headers = {} if authorization is None else {"Authorization": authorization}
    body = "{}" if method == "PUT" else "[]" if method == "POST" else None
    async with served.http.request(method, path, headers=headers, data=body) as response:
        assert response.status != 401 or response.headers["WWW-Authenticate"] == "Bearer"
        return response.status


@pytest.mark.parametrize(("method", "path"), INGEST + ADMIN)
@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer ", "in-1", "Basic in-1", "Bearer in-3", "Bearer in", "Bearer é"]
)
@over_http(KEYED)
async def test_without_a_known_key_it_is_401(served: Served, method: str, path: str, authorization: str | None) -> None:
    assert await status(served, method, path, authorization) == 401


@pytest.mark.parametrize(("method", "path"), INGEST)
@pytest.mark.parametrize("authorization", ["Bearer in-1", "bearer in-2", "Bearer  in-1 ", "Bearer ad-1"])
@over_http(KEYED)
async def test_any_key_may_ingest(served: Served, method: str, path: str, authorization: str) -> None:
    assert await status(served, method, path, authorization) in (200, 202)


@pytest.mark.parametrize(("method", "path"), ADMIN)
@over_http(KEYED)
async def test_only_an_admin_key_may_do_the_rest(served: Served, method: str, path: str) -> None:
    assert await status(served, method, path, "Bearer in-1") == 403
    assert await status(served, method, path, "Bearer ad-1") not in (401, 403)


@pytest.mark.parametrize(("method", "path"), OPEN)
@over_http(KEYED)
async def test_what_watches_the_process_needs_no_key(served: Served, method: str, path: str) -> None:
    assert await status(served, method, path, None) == 200


@pytest.mark.parametrize(("method", "path"), INGEST + ADMIN + OPEN)
@over_http()
async def test_without_any_keys_everything_is_open(served: Served, method: str, path: str) -> None:
    assert await status(served, method, path, None) not in (401, 403)


@over_http(HttpSettings(ingest=("in-1",)))
async def test_with_only_ingest_keys_nobody_may_do_the_rest(served: Served) -> None:
    assert await status(served, "DELETE", "/v1/users/u", None) == 401
    assert await status(served, "DELETE", "/v1/users/u", "Bearer in-1") == 403


@over_http(KEYED)
async def test_a_refused_ping_is_kept_nowhere(served: Served) -> None:
    assert (await served.post("/v1/pings", json=PING))[0] == 401
    assert served.intake.pings == [] and served.count("nearcast_pings_received_total") == 0


def test_keys_are_in_no_repr() -> None:
    assert "in-1" not in repr(KEYED) and "ad-1" not in repr(KEYED)
