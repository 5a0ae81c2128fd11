"""Limits: how often one person may be messaged.

Owns cooldowns and caps, judged over a user's reservations at the time of the decision. `day`, `week` and `month` are
calendar, durations rolling. Must not know who reserves or releases. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rules.facts import Kind, Reason
from rules.units import DAY_MS
from rules.windows import period_start, zone_for

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from rules.facts import User
    from rules.place import Place

HOUR_MS: Final = 3_600_000
#: No calendar period is longer; a day more than its days, for zones and clocks set back.
_PERIOD_MS: Final = {"day": 2 * DAY_MS, "week": 8 * DAY_MS, "month": 32 * DAY_MS}


@dataclass(frozen=True, slots=True)
class Cooldown:
    """How long a rule is silent after it sent: to that user at that place (`user-place`), or to that user (`user`)."""

    per: str = "user-place"
    of_ms: int = HOUR_MS


DEFAULT_COOLDOWN: Final = Cooldown()
_COOLING: Final = frozenset({Kind.ENTERED, Kind.DWELLED, Kind.CROSSED})


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` sends in a time, of all rules (`all`), of those with a tag (`tag`), or of this rule (`rule`).

    `per` is `day`, `week` or `month` in `timezone` (`user`, `place` or an IANA name), or a rolling duration.
    """

    path: str
    scope: str
    most: int
    per: str | int
    tag: str | None = None
    timezone: str = "user"

    @property
    def horizon_ms(self) -> int:
        """How far back it looks at most."""
        return _PERIOD_MS[self.per] if isinstance(self.per, str) else self.per


@dataclass(frozen=True, slots=True)
class Limits:
    """A rule's limits. `cooldown` None means none was asked for and the default counts; `no_cooldown` that none is."""

    cooldown: Cooldown | None = None
    no_cooldown: bool = False
    caps: tuple[Cap, ...] = ()

    def cooldown_for(self, kind: Kind) -> Cooldown | None:
        """The cooldown for an occasion of a kind: by default one hour for `entered`, `dwelled` and `crossed`."""
        if self.cooldown is not None or self.no_cooldown:
            return self.cooldown
        return DEFAULT_COOLDOWN if kind in _COOLING else None

    @property
    def horizon_ms(self) -> int:
        """How far back any of them looks: older reservations may be forgotten."""
        own = DEFAULT_COOLDOWN.of_ms if self.cooldown is None else self.cooldown.of_ms
        return max(own, *(cap.horizon_ms for cap in self.caps), 0)


@dataclass(frozen=True, slots=True)
class Hit:
    """A limit that was reached: the reason, its path, and what was counted."""

    reason: Reason
    clause: str
    values: dict[str, Any]


def hit(
    limits: Limits,
    *,
    rule: str,
    kind: Kind,
    user: User,
    place: Place | None,
    now_ms: int,
    test: bool,
    default_zone: ZoneInfo,
) -> Hit | None:
    """The first limit that was reached, the cooldown before the caps; None if the user may be messaged.

    With `test`, only sends of test rules count, else only the others.
    """
    if not user.sends:
        return None
    cooldown = limits.cooldown_for(kind)
    if cooldown is not None:
        place_id = place.id if place is not None else None
        for send in reversed(user.sends):
            if send.rule != rule or send.test is not test or send.time_ms <= now_ms - cooldown.of_ms:
                continue
            if cooldown.per == "user" or send.place == place_id:
                seen = {"cooldown.last_ms": send.time_ms, "cooldown.of_ms": cooldown.of_ms}
                return Hit(Reason.COOLDOWN, "limits.cooldown", seen)
    for cap in limits.caps:
        if isinstance(cap.per, int):
            since = now_ms - cap.per + 1
        else:
            since = period_start(cap.per, now_ms, zone_for(cap.timezone, place, user, default_zone))
        count = 0
        for send in user.sends:
            if send.time_ms < since or send.test is not test:
                continue
            if cap.scope == "tag":
                count += cap.tag in send.tags
            else:
                count += cap.scope == "all" or send.rule == rule
        if count >= cap.most:
            return Hit(Reason.CAP, cap.path, {"cap.count": count, "cap.max": cap.most})
    return None
