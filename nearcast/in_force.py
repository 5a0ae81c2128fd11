"""Telling the metrics which version of a site is in force, in `run` and in every role of a cluster alike.

Owns which channels are named. Must not know who brought the version into force.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from connectors.clock import Clock
    from connectors.metrics import Metrics
    from engine.site import Site


def tell_site(metrics: Metrics, site: Site, clock: Clock) -> None:
    """Tell which version is in force. Without configured channels, those that rules name are printed."""
    named = {action.channel for rule in site.rules.rules if rule.acts for action in rule.actions}
    metrics.in_force(
        site.version,
        fences=len(site.fences),
        rules=site.rules.rules,
        channels=site.settings.channels or named,
        at_ms=clock.now_ms(),
    )
