"""The people: what is known of each user, where they are, and which of their limits are reserved.

Owns the users' state and how each input changes it. Must not know how rules judge it. Changed in the order of the
journal only. Instants are epoch milliseconds.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from engine.layout import NEVER
from engine.ports import HANDED_OVER, DeliveryState
from rules.facts import Send, User

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from engine.told import Telling
    from engine.whereabouts import Whereabouts
    from engine.wire import Ended, Happened, Resent, UserChanged

_HOUR_MS = 3_600_000
_DAY_MS = 86_400_000
#: So many people are looked at in a step for what is old.
_AT_A_TIME = 256


@dataclass(slots=True)
class Open:
    """A `send` decision with deliveries that have not ended: their keys, and whether one of them was handed over."""

    user: str
    rule: str
    remaining: set[str]
    handed_over: bool = False


@dataclass(slots=True)
class People:
    """All users. `users` are those of whom more is known than where they are (`whereabouts`).

    `open` are the decisions whose limits are reserved and not yet committed or released. `keep_ms` is how long events
    and visits are kept, `sends_ms` how long a reservation may count. `assumed` are the purposes whose missing consent
    is taken as given: for trying rules on recordings, never live. `decided` are keys of decisions that somebody else
    made already: where all of them are made here, there are none.
    """

    keep_ms: int = 365 * _DAY_MS
    sends_ms: int = 400 * _DAY_MS
    users: dict[str, User] = field(default_factory=dict)
    event_ids: dict[str, dict[str, int]] = field(default_factory=dict)
    open: dict[str, Open] = field(default_factory=dict)
    assumed: frozenset[str] = frozenset()
    decided: frozenset[str] = frozenset()
    whereabouts: Whereabouts | None = None
    #: Who is still to be looked at, and up to when events and sends of theirs go.
    _aging: list[str] = field(default_factory=list)
    _aged_ms: tuple[int, int] = (NEVER, NEVER)

    def known(self, name: str) -> User:
        """The user, a new one of whom nothing is known if need be; where they are may be out of date."""
        found = self.users.get(name)
        if found is None:
            found = self.users[name] = User(name, consent=dict.fromkeys(self.assumed, True))
        return found

    def assume(self, purposes: frozenset[str]) -> None:
        """Take consent to these as given from now on, where it is missing."""
        self.assumed = purposes
        for user in self.users.values():
            self._assume_of(user)

    def _assume_of(self, user: User) -> None:
        for purpose in self.assumed:
            user.consent.setdefault(purpose, True)

    def user(self, name: str) -> User:
        """The user, a new one of whom nothing is known if need be; where they are is as of now."""
        found = self.known(name)
        self.look_round(found)
        return found

    def look_round(self, user: User) -> None:
        """Gather where the user is: few rules look at it."""
        if self.whereabouts is not None:
            user.inside = self.whereabouts.inside(user.id)

    def look_back(self, user: User) -> None:
        """Gather the user's visits: few rules look at them."""
        if self.whereabouts is not None:
            user.visits = self.whereabouts.visits(user.id)

    def find(self, name: str) -> User | None:
        """All of a user, visits too, if anything was ever heard of them."""
        if name not in self.users and (self.whereabouts is None or not self.whereabouts.has_met(name)):
            return None
        found = self.user(name)
        self.look_back(found)
        return found

    def everybody(self) -> Iterable[str]:
        """All of whom anything was ever heard, each once: whom a timer concerns that looks at no place."""
        return dict.fromkeys([*self.users, *(self.whereabouts.met() if self.whereabouts is not None else ())])

    # -- what is known ---------------------------------------------------------------------------------------------

    def change(self, change: UserChanged) -> bool:
        """Merge what somebody wrote about a user; None removes. False when this event was there before."""
        if change.id and not self._is_new(change.user, change.id, change.time_ms):
            return False
        user = self.known(change.user)
        user.known = True
        _merge(user.attributes, change.attributes)
        _merge(user.tokens, change.tokens)
        _merge(user.consent, change.consent)
        self._assume_of(user)
        if change.locale is not msgspec.UNSET:
            user.locale = change.locale
        if change.timezone is not msgspec.UNSET:
            user.timezone = change.timezone
        return True

    def happened(self, event: Happened) -> bool:
        """Take in an event; False when this (user, id) was there before."""
        if not self._is_new(event.user, event.id, event.time_ms):
            return False
        user = self.known(event.user)
        insort(user.events, (event.time_ms, event.type))
        return True

    def _is_new(self, user: str, event: str, time_ms: int) -> bool:
        """Remember an event; False when it was there before."""
        seen = self.event_ids.setdefault(user, {})
        if seen.get(event, NEVER) > self._aged_ms[0]:
            return False
        seen[event] = time_ms
        return True

    def forget_old(self, before_ms: int, now_ms: int) -> None:
        """Forget what is older than it is kept, between a step at `before_ms` and one at `now_ms`.

        Once a day, more often where it is kept for a few days only, everybody is looked at, some in each step from then
        on: nobody waits for all. What is due to go is not looked at from the mark on, by rules or for repeats, so no
        decision depends on when it does.
        """
        each_ms = min(_DAY_MS, max(_HOUR_MS, self.keep_ms // 8))
        mark_ms = now_ms // each_ms * each_ms
        self._aged_ms = mark_ms - self.keep_ms, mark_ms - self.sends_ms
        if before_ms < mark_ms:
            if not self._aging:
                self._aging = list(self.users.keys() | self.event_ids.keys())
            if self.whereabouts is not None:
                self.whereabouts.forget_old(self._aged_ms[0])
        if self._aging:
            for name in self._aging[-_AT_A_TIME:]:
                self._forget_old_of(name)
            del self._aging[-_AT_A_TIME:]

    def _forget_old_of(self, name: str) -> None:
        upto_ms, sends_upto_ms = self._aged_ms
        user, seen = self.users.get(name), self.event_ids.get(name)
        if user is not None and user.events and user.events[0][0] <= upto_ms:
            user.events = [e for e in user.events if e[0] > upto_ms]
        if user is not None and user.sends and user.sends[0].time_ms <= sends_upto_ms:
            user.sends = [s for s in user.sends if s.time_ms > sends_upto_ms]
        if seen is not None and min(seen.values(), default=0) <= upto_ms:
            kept = {event: time_ms for event, time_ms in seen.items() if time_ms > upto_ms}
            if kept:
                self.event_ids[name] = kept
            else:
                del self.event_ids[name]

    # -- where they are --------------------------------------------------------------------------------------------

    def follow(self, telling: Telling, first: int, end: int) -> None:
        """Note where everybody is after the records from `first` to `end`."""
        if first < end and self.whereabouts is not None:
            self.whereabouts.follow(telling, first, end)

    # -- limits ----------------------------------------------------------------------------------------------------

    def reserve(self, send: Send, user: str, keys: Iterable[str]) -> None:
        """Reserve the limits of a `send` decision whose deliveries have these keys."""
        person = self.known(user)
        insort(person.sends, send, key=lambda s: s.time_ms)
        self.open[send.key] = Open(user, send.rule, set(keys))

    def ended(self, ended: Ended) -> bool:
        """A delivery ended. Once all of its decision have, the limits stand or are released. False: it was not open."""
        entry = self.open.get(ended.decision)
        if entry is None or ended.key not in entry.remaining:
            return False
        entry.remaining.discard(ended.key)
        entry.handed_over = entry.handed_over or DeliveryState(ended.outcome) in HANDED_OVER
        if not entry.remaining:
            self._settle(ended.decision, entry)
        return True

    def has_known(self, user: str) -> bool:
        """Whether anything is known of a user, as it is of whoever was messaged and not erased since."""
        return user in self.users

    def resent(self, resent: Resent, now_ms: int) -> None:
        """A failed delivery is sent again: its decision is open once more, and reserved if it was released."""
        entry = self.open.get(resent.decision)
        if entry is not None:
            entry.remaining.add(resent.key)
            return
        user = self.known(resent.user)
        held = any(s.key == resent.decision for s in user.sends)
        if not held:
            send = Send(resent.decision, resent.rule, tuple(resent.tags), resent.place, now_ms, resent.test)
            insort(user.sends, send, key=lambda s: s.time_ms)
        self.open[resent.decision] = Open(resent.user, resent.rule, {resent.key}, handed_over=held)

    def cancel(self, decision: str) -> list[str]:
        """Give up what is still pending of a decision; returns the keys of those deliveries."""
        entry = self.open[decision]
        keys = sorted(entry.remaining)
        self._settle(decision, entry)
        return keys

    def erase(self, name: str) -> list[str]:
        """Forget a user; returns the keys of the deliveries that were pending."""
        theirs = [decision for decision, entry in self.open.items() if entry.user == name]
        keys = [key for decision in theirs for key in self.cancel(decision)]
        self.users.pop(name, None)
        self.event_ids.pop(name, None)
        return keys

    def _settle(self, decision: str, entry: Open) -> None:
        del self.open[decision]
        user = self.users.get(entry.user)
        if user is not None and not entry.handed_over:
            user.sends = [s for s in user.sends if s.key != decision]


def _merge(into: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if value is None:
            into.pop(key, None)
        else:
            into[key] = value
