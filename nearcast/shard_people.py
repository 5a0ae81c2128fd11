"""The second stage of a shard's fold, with the people in a store that many share.

Owns the round: read those whom the records concern, judge, set them if nobody changed them meanwhile, else once more
for those. The first outcome kept under a key stands and is written out again. Must not know the devices.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from connectors.redis_people import Change
from engine.batch import NO_REQUEST
from engine.concerned import everybody, narrowed, users_of
from engine.decided import decided_of, decode_decided, encode_decided
from engine.judge import Judge
from engine.person import Person, SharedPeople, pack_person, read_person
from engine.ports import StoreError
from engine.step import judge
from nearcast.shard_parts import Outcome
from rules.facts import User

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from connectors.redis_people import StoredPerson
    from engine.ports import Delivery
    from engine.site import Site
    from engine.step import Effects, Sensed
    from nearcast.shard_parts import Parts
    from rules.facts import Decision

#: How often a user may be read again since somebody else changed them.
_ROUNDS_MAX = 50
#: A user's decisions are counted at each so many changes of the user.
_LOOK_EACH = 64
#: What `shard` is where nothing is noted as seen: a timer for everybody.
_NO_SHARD = -2

#: A record of the shard as the first stage left it: its offset, when its pings were received, what happened.
Folded = tuple[int, float, "Sensed"]


class ShardPeople:
    """Judges what happened in one shard."""

    def __init__(self, parts: Parts, shard: int) -> None:
        self._parts = parts
        self._shard = shard
        self._looked_at: list[str] = []

    async def judge(self, folded: Sequence[Folded], site: Site) -> tuple[Outcome, list[Effects]]:
        """Decide what happened in these records, in order, and keep it. Raises `StoreError`."""
        outcome = Outcome()
        effects: list[Effects] = []
        users = {user for _, _, sensed in folded for user in users_of(sensed)}
        await self._rounds(folded, users, site, outcome, effects)
        for offset, received_ms, sensed in folded:
            rung = everybody(sensed)
            if rung is not None:
                async for piece in self._parts.people.of_shard(self._shard):
                    await self._rounds([(offset, received_ms, rung)], set(piece), site, outcome, None)
        await self._prune()
        return outcome, effects

    async def written(self, outcome: Outcome) -> list[tuple[str, bytes]]:
        """The decisions as they are written out, with their users: those made now, and those kept before."""
        out = [
            (user, encode_decided(decided_of(decision, list(deliveries), self._shard, offset)))
            for user, made in outcome.decided.items()
            for offset, decision, deliveries in made
        ]
        for user, keys in outcome.again.items():
            found = await self._parts.people.decided(user, sorted(keys))
            out += [(user, value) for value in found if value is not None]
        return out

    async def _rounds(
        self,
        folded: Sequence[Folded],
        users: AbstractSet[str],
        site: Site,
        outcome: Outcome,
        effects: list[Effects] | None,
    ) -> None:
        """Read, judge, set; again for those whom somebody else changed meanwhile."""
        left, known = set(users), dict[str, set[str]]()
        for number in range(_ROUNDS_MAX):
            if not left and (number or effects is None):
                return
            stored = await self._parts.people.read(sorted(left))
            persons = {name: _person(name, one) for name, one in stored.items()}
            seen = {name: person.seen.get(self._shard, -1) for name, person in persons.items()}
            made, judged = self._judge(folded, persons, left if number else None, site, known, timers=effects is None)
            if effects is not None and not number:
                effects += judged
                outcome.transitions += [t for one in judged for t in one.transitions]
            left = await self._set(folded, persons, stored, seen, made, outcome, known, timers=effects is None)
        raise StoreError(f"{len(left)} users are changed by others faster than they can be judged")

    def _judge(
        self,
        folded: Sequence[Folded],
        persons: Mapping[str, Person],
        only: AbstractSet[str] | None,
        site: Site,
        known: Mapping[str, set[str]],
        *,
        timers: bool,
    ) -> tuple[dict[str, list[tuple[int, Decision, list[Delivery]]]], list[Effects]]:
        people = SharedPeople(keep_ms=site.settings.keep.events_ms, shard=_NO_SHARD if timers else self._shard)
        people.lend(persons)
        people.everyone = tuple(persons) if timers else ()
        people.decided = frozenset(key for keys in known.values() for key in keys)
        by = Judge(site, people)
        made: dict[str, list[tuple[int, Decision, list[Delivery]]]] = {}
        all_effects = []
        for offset, received_ms, sensed in folded:
            people.offset, people.now_ms, people.devices = offset, sensed.now_ms, sensed.erased
            people.own = frozenset(user for user in sensed.erased if self._parts.partitions.of(user) == self._shard)
            narrow = sensed if only is None or timers else narrowed(sensed, only)
            effects = judge(narrow, by)
            all_effects.append(effects)
            deliveries: dict[str, list[Delivery]] = {}
            for delivery in effects.deliveries:
                deliveries.setdefault(delivery.decision, []).append(delivery)
            for decision, request in zip(effects.decisions, effects.requests, strict=True):
                since_ms = received_ms if request != NO_REQUEST else None
                begun = [replace(d, received_ms=since_ms) for d in deliveries.get(decision.key, ())]
                made.setdefault(decision.user, []).append((offset, decision, begun))
        return made, all_effects

    async def _set(
        self,
        folded: Sequence[Folded],
        persons: Mapping[str, Person],
        stored: Mapping[str, StoredPerson],
        seen: Mapping[str, int],
        made: Mapping[str, list[tuple[int, Decision, list[Delivery]]]],
        outcome: Outcome,
        known: dict[str, set[str]],
        *,
        timers: bool,
    ) -> set[str]:
        """Set the users who changed; returns those who are to be judged again."""
        last, keep_ms = folded[-1][0], self._parts.sites.site.settings.keep.pings_ms
        changes, fresh = [], {}
        for name, person in persons.items():
            mine = made.get(name, [])
            before = -1 if timers else seen[name]
            outcome.again[name] = {d.key for offset, d, _ in mine if offset <= before}
            if before >= last or (timers and not mine):
                continue
            fresh[name] = [e for e in mine if e[0] > before and e[1].time_ms > person.erased_ms]
            if not timers:
                person.seen[self._shard] = last
            ttl_ms = keep_ms if _is_gone(person) else 0
            packed = {
                d.key: encode_decided(decided_of(d, deliveries, self._shard, offset))
                for offset, d, deliveries in fresh[name]
            }
            changes.append(Change(name, stored[name].number, pack_person(person), packed, ttl_ms))
        new = {c.user: self._parts.partitions.of(c.user) for c in changes if not c.number and not c.ttl_ms}
        again = set()
        for change, answer in zip(changes, await self._parts.people.store(changes, new), strict=True):
            if answer is True:
                if change.number % _LOOK_EACH == _LOOK_EACH - 1:
                    self._looked_at.append(change.user)
                outcome.decided.setdefault(change.user, []).extend(fresh[change.user])
                outcome.again[change.user] |= known.pop(change.user, set())
            else:
                again.add(change.user)
                if isinstance(answer, list):
                    known.setdefault(change.user, set()).update(answer)
        return again

    async def _prune(self) -> None:
        """Forget the older half of the decisions of those who have too many."""
        people = self._parts.people
        users, self._looked_at = self._looked_at, []
        for user in await people.crowded(users) if users else ():
            kept = sorted(map(decode_decided, await people.decisions(user)), key=lambda one: one.time_ms)
            await people.drop(user, [one.key for one in kept[: len(kept) // 2]])


def _person(name: str, stored: StoredPerson) -> Person:
    return Person(User(name)) if stored.value is None else read_person(stored.value)


def _is_gone(person: Person) -> bool:
    """True of an erased user of whom nothing new is known."""
    user = person.user
    return "" in person.marks and not (user.known or user.visits or user.sends or user.events or person.stays)
