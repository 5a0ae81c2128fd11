"""Ingest: `POST /v1/pings`, `POST /v1/events`, `GET /v1/places/near`.

Owns what is answered, and that only what was kept is answered 2xx and counted. Must not know how anything is kept.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from connectors.http_answers import RefusedRequest, answer, come_again
from connectors.http_body import is_ndjson, read_body
from connectors.http_query import degrees, number, wait_asked
from connectors.http_whole import Whole, is_plain
from connectors.intake import LocatedAnswer, NotNowError
from engine.event import decode_events
from engine.outward import to_json
from engine.ping_reader import PingReader
from engine.rate import Rates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from connectors.clock import Clock
    from connectors.http_body import Load
    from connectors.http_settings import HttpSettings
    from connectors.intake import Intake
    from connectors.metrics import Metrics
    from engine.pings import Pings
    from engine.rejection import Rejected

NEAR_MAX: Final = 1_000


class Ingest:
    """The handlers that take pings and events."""

    def __init__(self, intake: Intake, settings: HttpSettings, metrics: Metrics, clock: Clock, load: Load) -> None:
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._load = load
        self._reader = PingReader()
        self._rates: Rates | None = None
        self._settings = settings
        self.take(settings)

    def take(self, settings: HttpSettings) -> None:
        """From now on, these limits count. Devices have full buckets again when their rate is another."""
        per_s, holds = settings.ping.max_rate_per_device, settings.ping.max_batch
        if per_s is None:
            self._rates = None
        elif self._rates is None or not self._rates.are(per_s=per_s, holds=holds):
            self._rates = Rates(per_s=per_s, holds=holds)
        self._settings = settings

    async def pings(self, request: web.Request) -> web.StreamResponse:
        """Take pings and sightings: 202, or 422 when all of them are bad."""
        wait = wait_asked(request)
        if wait and not self._settings.waits:
            raise RefusedRequest(
                400, "`wait` is not served by a gateway: it does not know what is decided, leave it out"
            )
        ndjson = is_ndjson(request)
        settings = self._settings
        with self._load.open() as held:
            body = await read_body(
                request, held, size_max=settings.ping.max_body_bytes, within_s=settings.body_within_s
            )
            received_ms = self._clock.exact_ms()
            read = self._reader.read(body, ndjson=ndjson, now_ms=int(received_ms), limits=settings.ping)
            del body
            if read.pings:
                taken = self._limit(read.pings)
                try:
                    located = await self._intake.located(read.pings, received_ms=received_ms, wait=wait)
                except NotNowError:
                    self._untake(taken)
                    raise
            else:
                located = LocatedAnswer(0, 0, [] if wait else None, [] if wait else None)
        told = _told(located.accepted, located.duplicate, read.rejected)
        if wait:
            told["decisions"], told["messages"] = located.decisions or [], located.messages or []
        self._count("pings", read.count, located.accepted, located.duplicate, read.rejected)
        return _answer(request, told, _status(read.count, read.rejected))

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Take events: 202, or 422 when all of them are bad."""
        ndjson = is_ndjson(request)
        settings = self._settings
        with self._load.open() as held:
            body = await read_body(
                request, held, size_max=settings.ping.max_body_bytes, within_s=settings.body_within_s
            )
            decoded = decode_events(
                body,
                ndjson=ndjson,
                now_ms=self._clock.now_ms(),
                limits=settings.ping,
                keep_ms=settings.keep_events_ms,
            )
            accepted, duplicate = await self._intake.noted(decoded.inputs)
        self._count("events", decoded.count, accepted, duplicate, decoded.rejected)
        told = _told(accepted, duplicate, decoded.rejected)
        return _answer(request, told, _status(decoded.count, decoded.rejected))

    async def near(self, request: web.Request) -> web.Response:
        """The fences that a phone should register with its operating system."""
        lat_deg, lng_deg = degrees(request, "lat", 90), degrees(request, "lng", 180)
        limit = number(request, "limit", default=20, most=NEAR_MAX)
        return answer(self._intake.near(lat_deg, lng_deg, limit))

    def _limit(self, pings: Pings) -> Counter[str] | None:
        """Take from the devices' buckets. Raises `RefusedRequest` 429 for the whole request."""
        if self._rates is None:
            return None
        wanted = Counter(pings.devices)
        wait_s = self._rates.take(wanted, self._clock.monotonic_s())
        if wait_s > 0:
            raise come_again(429, "a device is beyond `ping.max_rate_per_device`", wait_s)
        return wanted

    def _untake(self, taken: Counter[str] | None) -> None:
        if self._rates is not None and taken is not None:
            self._rates.give_back(taken, self._clock.monotonic_s())

    def _count(self, what: str, count: int, accepted: int, duplicate: int, rejected: Sequence[Rejected]) -> None:
        reasons = Counter(r.reason.value for r in rejected) if rejected else {}
        self._metrics.taken(what, received=count, accepted=accepted, duplicate=duplicate, rejected=reasons)


def _answer(request: web.Request, told: dict[str, Any], status: int) -> web.StreamResponse:
    return Whole(to_json(told), status) if is_plain(request) else answer(told, status)


def _status(count: int, rejected: Sequence[Rejected]) -> int:
    return 422 if count and len(rejected) == count else 202


def _told(accepted: int, duplicate: int, rejected: Sequence[Rejected]) -> dict[str, Any]:
    return {"accepted": accepted, "duplicate": duplicate, "rejected": [_refused(r) for r in rejected]}


def _refused(rejected: Rejected) -> dict[str, Any]:
    line: dict[str, Any] = {"index": rejected.index, "reason": rejected.reason.value, "detail": rejected.detail}
    if rejected.id is not None:
        line["id"] = rejected.id
    return line
