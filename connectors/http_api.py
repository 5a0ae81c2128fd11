"""The HTTP interface: its routes, who may use them, and the way of every request.

Owns the table of routes, and that each request is answered, counted and, when it is our fault, logged. Must not know
what the handlers do. aiohttp is named in `connectors/http_*.py` only.
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connectors.http_admin import Admin
from connectors.http_answers import RefusedRequest, answer, come_again, refusal
from connectors.http_body import Load
from connectors.http_ingest import Ingest
from connectors.http_keys import Access, Gatekeeper
from connectors.http_settings import HttpSettings
from connectors.intake import NotNowError, Unavailable
from engine.rejection import BodyError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from connectors.clock import Clock
    from connectors.intake import Intake
    from connectors.metrics import Metrics

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["HttpServer", "HttpSettings", "make_app"]

log = structlog.get_logger("nearcast.http")

#: How long what is left of a refused body is read, so that the client sees the answer instead of a reset.
_LINGER_S: Final = 1.0
_BACKLOG: Final = 1024
_SHUTDOWN_S: Final = 5.0
#: The label of requests that no route matches.
_OTHER: Final = "other"


class Adjustable(NamedTuple):
    """The parts of an application whose settings change while it runs."""

    ingest: Ingest
    admin: Admin
    gatekeeper: Gatekeeper

    def take(self, settings: HttpSettings) -> None:
        """From the next request on, these keys and limits are in force."""
        self.ingest.take(settings)
        self.admin.take(settings)
        self.gatekeeper.take(ingest=settings.ingest, admin=settings.admin)


_ADJUSTABLE: Final = web.AppKey("adjustable", Adjustable)


class Route(NamedTuple):
    """One route: the method, the path with its parts, who may use it, and the handler."""

    method: str
    path: str
    access: Access
    handler: Handler


def make_app(intake: Intake, settings: HttpSettings, metrics: Metrics, clock: Clock) -> web.Application:
    """The application over an intake. `HttpServer` runs it, or any runner of aiohttp's."""
    load = Load(settings.bodies_max_bytes)
    metrics.in_flight(lambda: load.requests)
    ingest, admin = Ingest(intake, settings, metrics, clock, load), Admin(intake, settings, load)
    table = routes(ingest, admin, Open(intake, metrics))
    gatekeeper = Gatekeeper(ingest=settings.ingest, admin=settings.admin)
    way = Way(gatekeeper, metrics, clock)
    app = web.Application(
        handler_args={
            "access_log": None,
            "auto_decompress": False,  # `http_body` does, within the limits
            "keepalive_timeout": settings.idle_s,
            "lingering_time": _LINGER_S,
            "logger": ServerLog(metrics),
        }
    )
    for route in table:
        add = app.router.add_get if route.method == "GET" else partial(app.router.add_route, route.method)
        add(route.path, way.of(route))  # `add_get` adds HEAD too
    app[_ADJUSTABLE] = Adjustable(ingest, admin, gatekeeper)
    app.router.add_route("*", "/{rest:.*}", way.of(Route("*", _OTHER, Access.OPEN, Nowhere(table).answer)))
    return app


class HttpServer:
    """An application such as `make_app` gives, listening."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._runner = web.AppRunner(app, shutdown_timeout=_SHUTDOWN_S)
        self._port = 0

    @property
    def port(self) -> int:
        """The port that is listened on, once it is: the one that was found, if any would do."""
        return self._port

    @property
    def url(self) -> str:
        """Where it listens, as a client writes it."""
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def take(self, settings: HttpSettings) -> None:
        """From the next request on, these keys and limits are in force; sizes and times of connections stay."""
        self._app[_ADJUSTABLE].take(settings)

    async def start(self, host: str, port: int) -> None:
        """Listen. Port 0 is any that is free. Raises `OSError` when the address cannot be had."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, backlog=_BACKLOG).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Take no more requests, let those under way end."""
        await self._runner.cleanup()


def routes(ingest: Ingest, admin: Admin, open_to_all: Open) -> tuple[Route, ...]:
    """The table of routes."""
    return (
        Route("POST", "/v1/pings", Access.INGEST, ingest.pings),
        Route("POST", "/v1/events", Access.INGEST, ingest.events),
        Route("GET", "/v1/places/near", Access.INGEST, ingest.near),
        Route("PUT", "/v1/users/{id}", Access.ADMIN, admin.put_user),
        Route("GET", "/v1/users/{id}", Access.ADMIN, admin.get_user),
        Route("DELETE", "/v1/users/{id}", Access.ADMIN, admin.delete_user),
        Route("GET", "/v1/users/{id}/export", Access.ADMIN, admin.export_user),
        Route("GET", "/v1/users/{id}/decisions", Access.ADMIN, admin.decisions),
        Route("GET", "/v1/places/{id}/present", Access.ADMIN, admin.present),
        Route("GET", "/v1/deliveries", Access.ADMIN, admin.deliveries),
        Route("POST", "/v1/deliveries/{key}/resend", Access.ADMIN, admin.resend),
        Route("GET", "/metrics", Access.OPEN, open_to_all.metrics),
        Route("GET", "/healthz", Access.OPEN, open_to_all.healthz),
        Route("GET", "/readyz", Access.OPEN, open_to_all.readyz),
    )


class Way:
    """The way of every request: judge the key, handle it, turn refusals into answers, count."""

    __slots__ = ("_clock", "_gatekeeper", "_metrics")

    def __init__(self, gatekeeper: Gatekeeper, metrics: Metrics, clock: Clock) -> None:
        self._gatekeeper = gatekeeper
        self._metrics = metrics
        self._clock = clock

    def of(self, route: Route) -> Handler:
        """The route's handler, on its way."""
        access, handler, path = route.access, route.handler, route.path
        check, counted, now_s = self._gatekeeper.check, self._metrics.request, self._clock.monotonic_s

        async def handle(request: web.Request) -> web.StreamResponse:
            began_s = now_s()
            response: web.StreamResponse
            try:
                check(request, access)
                response = await handler(request)
            except RefusedRequest as refused:
                response = refusal(refused)
            except BodyError as error:
                response = refusal(RefusedRequest(error.status, error.text))
            except NotNowError as error:
                response = refusal(_not_now(error))
            except Exception as error:  # the edge: whatever it is, it is answered, counted and logged
                log.error("request failed", route=path, error=type(error).__name__, exc_info=error)
                response = refusal(RefusedRequest(500, "this is our fault, see the log"))
            counted(path, response.status, now_s() - began_s)
            return response

        return handle


def _not_now(error: NotNowError) -> RefusedRequest:
    if isinstance(error, Unavailable):
        return come_again(503, "nothing can be kept just now", error.retry_after_s)
    return come_again(429, "too much is waiting already", error.retry_after_s)


class Ready(Protocol):
    """What is asked of whoever is watched."""

    @property
    def ready(self) -> bool:
        """True while pings are taken, or whatever else is the process's work."""


class Open:
    """The handlers that ask for no key: what watches the process."""

    def __init__(self, intake: Ready, metrics: Metrics) -> None:
        self._intake = intake
        self._metrics = metrics

    async def metrics(self, _request: web.Request) -> web.Response:
        """What Prometheus scrapes."""
        self._metrics.ready(self._intake.ready)
        text, content_type = self._metrics.render()
        return web.Response(body=text, headers={"Content-Type": content_type})

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process lives."""
        return answer({"status": "ok"})

    async def readyz(self, _request: web.Request) -> web.Response:
        """The process does its work, such as taking pings: 200; else 503."""
        if self._intake.ready:
            return answer({"status": "ready"})
        raise come_again(503, "not just now, the log says what is waited for", 1)


class ServerLog:
    """What aiohttp says of its connections. What a stranger sends that is no HTTP is counted and not logged."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def debug(self, *_: object, exc_info: BaseException | None = None) -> None:
        """Connections come and go; that is nobody's business."""
        if isinstance(exc_info, HttpProcessingError):
            self._metrics.request(_OTHER, 400, 0.0)

    def exception(self, message: str, *_: object, exc_info: BaseException | None = None) -> None:
        """A connection failed. Without its address: it belongs to a person."""
        if isinstance(exc_info, HttpProcessingError):
            self.debug(exc_info=exc_info)
        else:
            log.error("connection failed", what=message.partition(" from %s")[0], exc_info=exc_info)


class Nowhere:
    """The answer to what no route matches: 404, or 405 with `Allow` when only the method is wrong."""

    def __init__(self, table: tuple[Route, ...]) -> None:
        paths: dict[str, list[str]] = {}
        for route in table:
            paths.setdefault(route.path, []).append(route.method)
        self._paths = [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), methods) for path, methods in paths.items()]

    async def answer(self, request: web.Request) -> web.Response:
        """Raises `RefusedRequest` always."""
        for pattern, methods in self._paths:
            if pattern.fullmatch(request.rel_url.raw_path):
                allowed = ", ".join(sorted({*methods, *(["HEAD"] if "GET" in methods else [])}))
                detail = f"`{request.method[:20]}` is not served here, use one of {allowed}"
                raise RefusedRequest(405, detail, headers={"Allow": allowed}, close=True)
        raise RefusedRequest(404, "there is no such route, see docs/openapi.yaml", close=True)
