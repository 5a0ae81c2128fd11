"""Limits: how often one person may be messaged.

Owns cooldowns and caps, judged over a user's reservations at the time of the decision. `day`, `week` and `month` are
calendar, durations rolling. Must not know who reserves or releases. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rules.facts import Kind, Reason
from rules.units import DAY_MS
from rules.windows import period_start

if TYPE_CHECKING:
    from rules.facts import Refusal
    from rules.view import View

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
    counts_own: bool = field(init=False, compare=False, repr=False)
    """A cap counts the rule's own sends: no other rule's caps say the same."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "counts_own", any(cap.scope == "rule" for cap in self.caps))

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


def hit(limits: Limits, view: View, *, rule: str, test: bool) -> Refusal | None:
    """The first limit of a rule that was reached, the cooldown before the caps; None if the user may be messaged.

    With `test`, only sends of test rules count, else only the others.
    """
    sends, now_ms = view.user.sends, view.now_ms
    cooldown = limits.cooldown_for(view.occasion.kind)
    if cooldown is not None:
        since = now_ms - cooldown.of_ms + 1
        for send in reversed(sends):
            if send.time_ms < since:
                break
            if send.rule == rule and send.test is test and (cooldown.per == "user" or send.place == view.place_id):
                seen = {"cooldown.last_ms": send.time_ms, "cooldown.of_ms": cooldown.of_ms}
                return Reason.COOLDOWN, "limits.cooldown", seen
    if not limits.caps:
        return None
    # Rules with the same caps are told the same, as long as none of them sends: then there is one send more.
    asked, tests, counted, count, refusal = view.capped
    if asked is not limits or tests is not test or counted is not sends or count != len(sends):
        refusal = _capped(limits.caps, view, rule, test)
        if not limits.counts_own:
            view.capped = limits, test, sends, len(sends), refusal
    return refusal


def _capped(caps: tuple[Cap, ...], view: View, rule: str, test: bool) -> Refusal | None:
    sends, now_ms = view.user.sends, view.now_ms
    for cap in caps:
        per, tag, each = cap.per, cap.tag, cap.scope == "all"
        since = now_ms - per + 1 if isinstance(per, int) else period_start(per, now_ms, view.zone(cap.timezone))
        count = 0
        for send in reversed(sends):
            if send.time_ms < since:
                break
            if send.test is test and (tag in send.tags if tag is not None else each or send.rule == rule):
                count += 1
        if count >= cap.most:
            return Reason.CAP, cap.path, {"cap.count": count, "cap.max": cap.most}
    return None
