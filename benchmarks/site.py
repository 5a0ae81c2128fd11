"""Sites of the benchmarks: a city's fences, settings and rules, read as any site is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.site import read_site

if TYPE_CHECKING:
    from engine.site import Site

_ENTERED = "{event: entered, place: {tag: watched}}"
RULE = f"""
id: bench
state: live
trigger: {_ENTERED}
audience: {{all: [{{consent: marketing}}]}}
actions: [{{push: {{title: "Hello", body: "You are at {{place.name}}"}}}}]
"""
"""Stands on the watched fences; nobody consented unless a benchmark says so, so that it decides and sends nothing."""

EACH_TIME = RULE + "limits: {cooldown: none}\n"
"""The same for each enter, however soon after the last: where messages are what is measured."""

EACH_MOVE = EACH_TIME.replace(_ENTERED, f"{{any: [{_ENTERED}, {_ENTERED.replace('entered', 'exited')}]}}")
"""The same for each enter and each exit."""


def site_of(fences: bytes, settings: str = "", *rules: str) -> Site:
    """A site made of these. Ends the program at a mistake in them."""
    files = {f"rules/r{n}.yaml": rule.encode() for n, rule in enumerate(rules)}
    site, mistakes = read_site({"fences/city.geojson": fences, "nearcast.yaml": settings.encode()} | files)
    if site is None:
        raise SystemExit("\n".join(map(str, mistakes)))
    return site
