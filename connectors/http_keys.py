"""Keys: who may do what.

Owns the two kinds of keys and how they are compared. An ingest key may be inside an app, and so is public; an admin key
may do everything. Must not know where keys are written. With no keys at all everything is open: only a loopback address
may be listened on then, which the settings see to.
"""

from __future__ import annotations

from enum import StrEnum
from hmac import compare_digest
from typing import TYPE_CHECKING

from connectors.http_answers import RefusedRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web


class Access(StrEnum):
    """What a route asks for."""

    OPEN = "open"
    INGEST = "ingest"
    ADMIN = "admin"


class Gatekeeper:
    """Judges the `Authorization` of requests."""

    __slots__ = ("_admin", "_ingest")

    def __init__(self, *, ingest: Sequence[str], admin: Sequence[str]) -> None:
        self.take(ingest=ingest, admin=admin)

    def take(self, *, ingest: Sequence[str], admin: Sequence[str]) -> None:
        """From now on, only these keys count."""
        self._ingest = tuple(key.encode() for key in ingest)
        self._admin = tuple(key.encode() for key in admin)

    def check(self, request: web.Request, access: Access) -> None:
        """Raise `RefusedRequest`: 401 without a known key, 403 with one that may not do this."""
        if access is Access.OPEN or not (self._ingest or self._admin):
            return
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise _unknown("a key is needed, send `Authorization: Bearer KEY`")
        key = given.strip().encode("utf-8", "surrogateescape")
        if _is_one_of(key, self._admin):
            return
        if not _is_one_of(key, self._ingest):
            raise _unknown("the key is not known here")
        if access is Access.ADMIN:
            raise RefusedRequest(403, "an ingest key may not do this, use an admin key", close=True)


def _is_one_of(given: bytes, keys: tuple[bytes, ...]) -> bool:
    """Compares with all of them, whichever fits: how long it takes tells nothing."""
    return sum(compare_digest(given, key) for key in keys) > 0


def _unknown(detail: str) -> RefusedRequest:
    return RefusedRequest(401, detail, headers={"WWW-Authenticate": "Bearer"}, close=True)
