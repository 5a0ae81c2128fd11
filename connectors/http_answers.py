"""Answers of the HTTP interface: JSON bodies, and errors as `{"error": ..., "detail": ...}`.

Owns the shape of errors and their names. Must not know any route.
"""

from __future__ import annotations

from math import ceil
from typing import Any, Final

from aiohttp import web

from engine.outward import to_json

JSON: Final = "application/json"
_ERRORS: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    429: "too_many_requests",
    500: "internal_error",
    503: "unavailable",
}


class RefusedRequest(Exception):  # noqa: N818 - it is an answer more than an error
    """A request that is not served. `close` ends the connection, so that what is left of the body is not read."""

    def __init__(self, status: int, detail: str, *, headers: dict[str, str] | None = None, close: bool = False) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.close = close


def answer(value: Any, status: int = 200) -> web.Response:
    """A value as JSON."""
    return web.Response(body=to_json(value), status=status, content_type=JSON)


def refusal(error: RefusedRequest) -> web.Response:
    """An error as JSON."""
    body = to_json({"error": _ERRORS[error.status], "detail": error.detail})
    response = web.Response(body=body, status=error.status, content_type=JSON, headers=error.headers)
    if error.close:
        response.force_close()
    return response


def come_again(status: int, detail: str, after_s: float) -> RefusedRequest:
    """A refusal with `Retry-After`, in whole seconds, at least one."""
    seconds = max(1, ceil(after_s))
    return RefusedRequest(status, f"{detail}, come again in {seconds} s", headers={"Retry-After": str(seconds)})
