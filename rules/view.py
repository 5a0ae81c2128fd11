"""What rules look at: an occasion, the user whose it is, and now.

Owns what the rules on one occasion ask alike, so that it is found once for all of them: which zone is meant, what a
clock there shows, the end of their decisions' keys. Must not know what a rule makes of it. A view lives as long as its
occasion is judged. Instants are epoch milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rules.audience import judge
from rules.ids import part
from rules.windows import zone_for
from rules.zones import time_of_day

if TYPE_CHECKING:
    from collections.abc import Mapping
    from zoneinfo import ZoneInfo

    from rules.audience import Clause, Leaf
    from rules.facts import Message, Occasion, Refusal, Send, User
    from rules.limits import Limits
    from rules.model import Action, Terms
    from rules.place import Place
    from rules.ruleset import RuleSet


_NOT_ASKED: Final = (None, 0)
_NOBODY_ASKED: Final = (None, None)
_NOT_JUDGED: Final = (None, None, None)
_NOT_TOLD: Final = (None, None, ())
_NOT_COUNTED: Final = (None, False, None, 0, None)


@dataclass(slots=True)
class View:
    """One occasion, as the rules of `rules` see it. `places` are all places by id, for where the user is or was.

    `values` gathers what the clauses of one audience at a time saw, `blamed` is the leaf that settled it. With
    `given`, every consent counts as given, and `lacking` tells whether one was asked for that is not; with
    `consents_only`, whatever is not a consent cannot be told.
    """

    occasion: Occasion
    user: User
    now_ms: int
    rules: RuleSet
    places: Mapping[str, Place]
    values: dict[str, Any] = field(default_factory=dict)
    given: bool = False
    lacking: bool = False
    consents_only: bool = False
    blamed: Leaf | None = None
    age_ms: int = field(init=False, repr=False)
    """How long ago the occasion was."""
    place_id: str | None = field(init=False, repr=False)
    key_tail: bytes = field(init=False, repr=False)
    """What the key of each decision on the occasion ends with: `Rule.key_head` is what stands before it."""
    judged: tuple[Terms | None, Refusal | None, Refusal | None] = field(init=False, repr=False)
    """The terms that were judged last, and why not to send on them: before the limits, and after them."""
    capped: tuple[Limits | None, bool, list[Send] | None, int, Refusal | None] = field(init=False, repr=False)
    """The limits whose caps were counted last, for test rules or not, over which sends, how many; what they refuse."""
    told: tuple[tuple[Action, ...] | None, Terms | None, tuple[Message, ...]] = field(init=False, repr=False)
    """The actions that were rendered last, on which terms; the messages."""
    _zones: dict[str, ZoneInfo] = field(init=False, repr=False)
    _shown: tuple[ZoneInfo | None, int] = field(init=False, repr=False)
    _refusal: tuple[Clause | None, Refusal | None] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.age_ms = self.now_ms - self.occasion.time_ms
        self.place_id = None if self.occasion.place is None else self.occasion.place.id
        self.key_tail = part(self.user.id) + part(self.occasion.id)
        self._zones = {}
        self.judged, self.capped, self.told = _NOT_JUDGED, _NOT_COUNTED, _NOT_TOLD
        self._shown, self._refusal = _NOT_ASKED, _NOBODY_ASKED

    def zone(self, choice: str) -> ZoneInfo:
        """The zone that `place`, `user` or an IANA name means here."""
        found = self._zones.get(choice)
        if found is None:
            found = self._zones[choice] = zone_for(choice, self.occasion.place, self.user, self.rules.timezone)
        return found

    def refusal(self, audience: Clause) -> Refusal | None:
        """Why the user is not meant, None if they are; `values` are what was seen.

        Rules may share an audience: the answer holds until another one is asked.
        """
        asked, refusal = self._refusal
        if asked is not audience:
            self.values = {}
            refusal = judge(audience, self)
            self._refusal = audience, refusal
        return refusal

    def shown(self, tz: ZoneInfo) -> int:
        """The time of day that a clock in a zone shows now, in milliseconds after midnight."""
        asked, shown = self._shown
        if asked is not tz:
            shown = time_of_day(self.now_ms, tz)
            self._shown = tz, shown
        return shown
