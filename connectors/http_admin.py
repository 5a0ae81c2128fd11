"""Users, and what SREs and marketers ask: presence, decisions, deliveries. For admin keys.

Owns the shapes of these answers. Must not know where anything is kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp import web

from connectors.http_answers import RefusedRequest, answer
from connectors.http_body import is_ndjson, read_body
from connectors.http_query import number, path_id, since, text_id, word
from engine.event import decode_user
from engine.ports import DecisionQuery, DeliveryState

if TYPE_CHECKING:
    from connectors.http_body import Load
    from connectors.http_settings import HttpSettings
    from connectors.intake import Intake

LINES: Final = 100
LINES_MAX: Final = 1_000
_STATES: Final = tuple(state.value for state in DeliveryState)


class Admin:
    """The handlers for what only an admin key may do."""

    def __init__(self, intake: Intake, settings: HttpSettings, load: Load) -> None:
        self._intake = intake
        self._settings = settings
        self._load = load

    def take(self, settings: HttpSettings) -> None:
        """From now on, these limits count."""
        self._settings = settings

    async def put_user(self, request: web.Request) -> web.Response:
        """Merge into what is known of a user; `null` removes."""
        user = path_id(request)
        if is_ndjson(request):
            raise RefusedRequest(415, "a user is one object, send `application/json`", close=True)
        settings = self._settings
        with self._load.open() as held:
            body = await read_body(
                request, held, size_max=settings.ping.max_body_bytes, within_s=settings.body_within_s
            )
            await self._intake.noted((decode_user(user, body),))
        return web.Response(status=204)

    async def get_user(self, request: web.Request) -> web.Response:
        """What is known of a user, in the shape in which it is written."""
        found = await self._intake.user(path_id(request))
        if found is None:
            raise RefusedRequest(404, "nothing was written about this user")
        return answer(
            {
                "attributes": found.attributes,
                "consent": found.consent,
                "locale": found.locale,
                "timezone": found.timezone,
                "tokens": found.tokens,
            }
        )

    async def delete_user(self, request: web.Request) -> web.Response:
        """Forget a user, known or not."""
        await self._intake.erase(path_id(request))
        return web.Response(status=204)

    async def export_user(self, request: web.Request) -> web.Response:
        """All that is kept of a user."""
        found = await self._intake.export(path_id(request))
        if found is None:
            raise RefusedRequest(404, "nothing is kept of this user")
        return answer(found)

    async def decisions(self, request: web.Request) -> web.Response:
        """The kept decisions about a user, newest first."""
        query = DecisionQuery(
            user=path_id(request),
            rule=text_id(request, "rule"),
            since_ms=since(request),
            limit=number(request, "limit", default=LINES, most=LINES_MAX),
        )
        return answer(await self._intake.decisions(query))

    async def present(self, request: web.Request) -> web.Response:
        """Who is at a place."""
        found = await self._intake.present(path_id(request))
        if found is None:
            raise RefusedRequest(404, "there is no such place")
        return answer(found)

    async def deliveries(self, request: web.Request) -> web.Response:
        """Deliveries, newest first."""
        outcome = word(request, "outcome", _STATES)
        return answer(await self._intake.deliveries(outcome, number(request, "limit", default=LINES, most=LINES_MAX)))

    async def resend(self, request: web.Request) -> web.Response:
        """Send a delivery that has ended once more."""
        key = path_id(request, "key")
        done = await self._intake.resend(key)
        if done is None:
            raise RefusedRequest(404, "there is no delivery with this key")
        if not done:
            raise RefusedRequest(
                409,
                "the delivery is pending, was delivered or withdrawn, or its rule no longer runs,"
                " only one that failed, expired, was cancelled or is of unknown outcome can be sent again",
            )
        return answer({"key": key}, status=202)
