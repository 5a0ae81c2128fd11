"""The limits of users whose deliveries ended: they stand or are released, in the store that many share.

Owns the round: read the users, settle, set those whom nobody changed meanwhile, else once more for those. Settling the
same end again changes nothing. Must not know how deliveries are made, nor where they are kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from connectors.redis_people import Change
from engine.person import pack_person, read_person, reopen, settle
from engine.ports import StoreError
from engine.wire import Ended, Resent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from connectors.clock import Clock
    from connectors.redis_deliveries import KeptDelivery
    from connectors.redis_people import RedisPeople, StoredPerson
    from engine.person import Person
    from engine.ports import Delivery

_ROUNDS_MAX: Final = 50


class Settling:
    """Settles the limits of a cluster's users."""

    def __init__(self, people: RedisPeople, clock: Clock) -> None:
        self._people = people
        self._clock = clock

    async def settle(
        self,
        over: Sequence[Delivery],
        again: Sequence[KeptDelivery],
        known: Mapping[str, StoredPerson] | None = None,
    ) -> None:
        """Settle the limits of ended deliveries, and reserve those of deliveries that are sent again.

        `known` are users as they were read just now: they are read again if somebody changed them since. Raises
        `StoreError`.
        """
        by_user: dict[str, list[Ended | Resent]] = {}
        for d in over:
            by_user.setdefault(d.user, []).append(Ended(d.key, d.decision, d.user, d.state.value, d.detail, d.attempts))
        for kept in again:
            d = kept.delivery
            item = Resent(d.key, d.decision, d.user, d.rule, list(d.tags), d.place, d.test)
            by_user.setdefault(d.user, []).append(item)
        left, read = set(by_user), {user: one for user, one in (known or {}).items() if user in by_user}
        for _ in range(_ROUNDS_MAX):
            if not left:
                return
            read |= await self._people.read(sorted(left - read.keys()))
            changes = []
            for user, stored in read.items():
                person = None if stored.value is None else read_person(stored.value)
                if person is not None and self._apply(person, by_user[user]):
                    changes.append(Change(user, stored.number, pack_person(person)))
            answers = await self._people.store(changes, {})
            left, read = {c.user for c, answer in zip(changes, answers, strict=True) if answer is not True}, {}
        raise StoreError(f"{len(left)} users are changed by others faster than their limits can be settled")

    def _apply(self, person: Person, items: Sequence[Ended | Resent]) -> bool:
        changed = False
        for item in items:
            if isinstance(item, Ended):
                changed = settle(person, item) or changed
            else:
                reopen(person, item, self._clock.now_ms())
                changed = True
        return changed
