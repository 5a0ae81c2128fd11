"""The settings of the HTTP interface, from those of the site.

Owns the bounds that no site sets: times, sizes and counts that keep one client from harming another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.settings import PingLimits

if TYPE_CHECKING:
    from engine.settings import Settings

_YEAR_MS = 365 * 86_400_000


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """What the HTTP interface allows. `ingest` and `admin` are keys; `keep_events_ms` is how old an event may be.

    A body must arrive within `body_within_s` seconds; a connection may be idle for `idle_s`. Bodies of at most
    `bodies_max_bytes` together are in memory at any time. Without `waits`, `?wait` is refused: nothing is decided here.
    """

    ingest: tuple[str, ...] = field(default=(), repr=False)
    admin: tuple[str, ...] = field(default=(), repr=False)
    ping: PingLimits = field(default_factory=PingLimits)
    keep_events_ms: int = _YEAR_MS
    body_within_s: float = 30.0
    idle_s: float = 75.0
    bodies_max_bytes: int = 256 << 20
    waits: bool = True

    @classmethod
    def of(cls, settings: Settings) -> HttpSettings:
        """Those of a site."""
        return cls(settings.keys.ingest, settings.keys.admin, settings.ping, settings.keep.events_ms)
