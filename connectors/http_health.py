"""What watches a worker or a dispatcher: `/metrics`, `/healthz`, `/readyz`, and nothing else.

Owns listening for it. Must not know what makes the process ready.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from connectors.http_api import HttpServer, Nowhere, Open, Route, ServerLog, Way
from connectors.http_keys import Access, Gatekeeper

if TYPE_CHECKING:
    from connectors.clock import Clock
    from connectors.http_api import Ready
    from connectors.metrics import Metrics


class HealthServer(HttpServer):
    """The three open routes, listening. They tell nothing of persons, and ask for no key."""

    def __init__(self, watched: Ready, metrics: Metrics, clock: Clock) -> None:
        open_to_all, way = Open(watched, metrics), Way(Gatekeeper(ingest=(), admin=()), metrics, clock)
        table = (
            Route("GET", "/metrics", Access.OPEN, open_to_all.metrics),
            Route("GET", "/healthz", Access.OPEN, open_to_all.healthz),
            Route("GET", "/readyz", Access.OPEN, open_to_all.readyz),
        )
        app = web.Application(handler_args={"access_log": None, "logger": ServerLog(metrics)})
        for route in table:
            app.router.add_get(route.path, way.of(route))
        app.router.add_route("*", "/{rest:.*}", way.of(Route("*", "other", Access.OPEN, Nowhere(table).answer)))
        super().__init__(app)
