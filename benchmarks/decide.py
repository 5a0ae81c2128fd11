"""The decision: a compiled rule beside the same rule written out as ifs, on the same people at the same instants.

What is compared is the reason of each decision, and the text. Ours also makes the key and notes the values that were
looked at, for `nearcast explain`.
"""

from __future__ import annotations

import random
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from benchmarks.bench import Bench, Size, side
from benchmarks.city import stars
from benchmarks.crowd import T0
from benchmarks.site import site_of
from rules.decide import decide
from rules.facts import Decision, Kind, Occasion, Send, User
from rules.view import View

if TYPE_CHECKING:
    from contextlib import ExitStack

TOKYO = ZoneInfo("Asia/Tokyo")
HOUR_MS = 3_600_000
CANDIDATES = 5
RULE = """
id: timesale
state: live
tags: [promotional]
trigger: {event: entered, place: {tag: watched}}
schedule: {windows: [{days: [mon, tue, wed, thu, fri], from: "10:00", to: "22:00"}], timezone: Asia/Tokyo}
audience:
  all:
    - {consent: marketing}
    - {attribute: tier, in: [gold, silver]}
    - {event_count: {type: purchase, within: 7d, max: 0}}
limits:
  cooldown: {per: user, of: 6h}
  caps: [{scope: tag, tag: promotional, max: 2, per: 7d}]
quiet_hours: {from: "21:00", to: "09:00", timezone: Asia/Tokyo}
actions: [push: {title: "Time sale", body: "Until seven at {place.name}"}]
"""


def bench(size: Size, keep: ExitStack) -> Bench:
    """Each of many people enters a place once, at some hour of a week."""
    site = site_of(stars(1).geojson(), "", RULE)
    (rule,), (place,) = site.rules.rules, site.places.values()
    asked = [
        _drawn(random.Random(n), n, place, "timesale", T0 + random.Random(n).randrange(7 * 24) * HOUR_MS)
        for n in range(size.devices)
    ]

    def ours() -> list[Decision]:
        return [
            decide(rule, View(occasion, user, occasion.time_ms, site.rules, site.places)) for occasion, user in asked
        ]

    return Bench(
        "decide", "decide a rule with all parts", "decisions",
        f"seeds 0 to {size.devices:,}; a rule with window, audience of three clauses, cooldown, cap, quiet hours; "
        "people of three tiers, with purchases and earlier sends",
        side("nearcast", len(asked), ours, lambda got: list(map(_said, got))),
        (
            side(
                "limit: ifs by hand", len(asked), lambda: [by_hand(occasion, user) for occasion, user in asked], list,
                "this very rule as a Python function, no key, no values for an explanation",
            ),
        ),
    )  # fmt: skip


def occasions(size: Size, keep: ExitStack, *, rules: int) -> Bench:
    """Each of many people enters a place that five rules stand on, of so many; an afternoon goes by."""
    groups = rules // CANDIDATES
    texts = [
        RULE.replace("id: timesale", f"id: timesale-{n}-{k}").replace("tag: watched", f"tag: t{n}")
        for n in range(groups) for k in range(CANDIDATES)
    ]  # fmt: skip
    fences = stars(groups).geojson()
    for n in range(groups):
        fences = fences.replace(b'"tags": ["watched"]', b'"tags": []').replace(b'"tags": []', b'"tags": ["t%d"]' % n, 1)
    site = site_of(fences, "", *texts)
    places = sorted(site.places.values(), key=lambda place: int(place.id[1:]))
    asked = [
        (_drawn(random.Random(n), n, places[n % groups], f"timesale-{n % groups}-0", T0 + 250 * n), n % groups)
        for n in range(size.devices // CANDIDATES)
    ]

    def ours() -> list[Decision]:
        return [
            decide(rule, view)
            for (occasion, user), _ in asked
            for view in (View(occasion, user, occasion.time_ms, site.rules, site.places),)
            for rule in site.rules.for_transition(occasion.place or places[0], occasion.kind)
        ]

    return Bench(
        f"occasion-{rules}", f"an occasion of five rules, of {rules:,}", "occasions",
        f"seeds 0 to {len(asked):,}; {rules:,} rules as above, five on each place; one occasion each quarter second",
        side("nearcast", len(asked), ours, lambda got: list(map(_said, got))),
        (
            side(
                "limit: ifs by hand", len(asked),
                lambda: [
                    by_hand(occasion, user, f"timesale-{at}-{k}") for (occasion, user), at in asked
                    for k in range(CANDIDATES)
                ], list, "five such functions",
            ),
        ),
    )  # fmt: skip


def _said(decision: Decision) -> tuple[str, ...]:
    return (decision.reason.value, *(message.body for message in decision.messages))


def _drawn(rng: random.Random, n: int, place: Any, rule: str, now_ms: int) -> tuple[Occasion, User]:
    events = [(now_ms - rng.randrange(1, 14 * 24) * HOUR_MS, "purchase")] if rng.random() < 0.3 else []
    sends = sorted(now_ms - rng.randrange(1, 10 * 24) * HOUR_MS for _ in range(rng.randrange(4)))
    user = User(
        f"u{n}", known=True, attributes={"tier": rng.choice(["gold", "silver", "bronze"])},
        consent={"marketing": rng.random() < 0.9}, events=events,
        sends=[Send(f"k{t}", rule, ("promotional",), place.id, t) for t in sends],
    )  # fmt: skip
    return Occasion(Kind.ENTERED, f"o{n}", now_ms, user.id, user.id, place, "fix", accuracy_m=8.0), user


def by_hand(occasion: Occasion, user: User, rule: str = "timesale") -> tuple[str, ...]:
    """The reason, and the text when it is sent."""
    now_ms = occasion.time_ms
    local = datetime.fromtimestamp(now_ms / 1000, TOKYO)
    if local.weekday() > 4 or not 10 <= local.hour < 22:
        return ("window",)
    if user.attributes.get("tier") not in ("gold", "silver"):
        return ("audience",)
    if any(kind == "purchase" and time_ms > now_ms - 7 * 24 * HOUR_MS for time_ms, kind in user.events):
        return ("audience",)
    if not user.consent.get("marketing"):
        return ("consent",)
    if any(send.rule == rule and send.time_ms > now_ms - 6 * HOUR_MS for send in user.sends):
        return ("cooldown",)
    if sum("promotional" in s.tags and s.time_ms > now_ms - 7 * 24 * HOUR_MS for s in user.sends) >= 2:
        return ("cap",)
    if local.hour >= 21 or local.hour < 9:
        return ("quiet_hours",)
    assert occasion.place is not None
    return ("sent", f"Until seven at {occasion.place.name}")
