"""The audience of a rule: clauses over what is known of a user, in three-valued logic.

Owns what each clause means: True, False, or None where it cannot be told. Nothing that cannot be told is ever sent.
Must not know how clauses are written in a file. Values of users come from outside: any JSON, never trusted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from rules.facts import Reason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rules.facts import Refusal
    from rules.place import PlaceRef
    from rules.view import View

Truth = bool | None


class Clause(Protocol):
    """One condition."""

    def judge(self, view: View) -> Truth:
        """True, False, or None where it cannot be told; `view.blamed` is the first leaf that made it so."""


@dataclass(frozen=True, slots=True)
class All:
    """True if all are, False if one is."""

    clauses: tuple[Clause, ...]

    def judge(self, view: View) -> Truth:
        verdict: Truth = True
        blamed = None
        for clause in self.clauses:
            found = clause.judge(view)
            if found is True:
                blamed = blamed or view.blamed
            elif found is False:
                return False
            elif verdict is True:
                verdict, blamed = None, view.blamed
        view.blamed = blamed
        return verdict


@dataclass(frozen=True, slots=True)
class OneOf:
    """True if one is, False if none is."""

    clauses: tuple[Clause, ...]

    def judge(self, view: View) -> Truth:
        verdict: Truth = False
        blamed = None
        for clause in self.clauses:
            found = clause.judge(view)
            if found is False:
                blamed = blamed or view.blamed
            elif found is True:
                return True
            elif verdict is False:
                verdict, blamed = None, view.blamed
        view.blamed = blamed
        return verdict


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; what cannot be told stays so."""

    clause: Clause

    def judge(self, view: View) -> Truth:
        found = self.clause.judge(view)
        return None if found is None else not found


@dataclass(frozen=True, slots=True)
class Leaf:
    """A clause without clauses in it; `path` is where it stands, such as `audience.all[1].attribute`.

    `seen` is the name under which it shows what it looked at.
    """

    path: str
    seen: str = field(init=False, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Consent(Leaf):
    """The user has given this consent. No record is not given."""

    purpose: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", f"consent.{self.purpose}")

    def judge(self, view: View) -> Truth:
        view.blamed = self
        found = view.values[self.seen] = view.user.consent.get(self.purpose)
        if found is True:
            return True
        view.lacking = True
        return view.given


@dataclass(frozen=True, slots=True)
class Attribute(Leaf):
    """An attribute of the user is there, is one of some values, lies between two numbers. All that is asked must hold.

    Of a list, one element must. A missing attribute cannot be told, except whether it exists; nor can a text be
    compared with a number's bounds. `1` is `1.0`, but `true` is not `1`, and `"1"` is neither.
    """

    name: str
    values: tuple[Any, ...] | None = None
    least: float | None = None
    most: float | None = None
    exists: bool | None = None
    _texts: frozenset[str] = field(init=False, repr=False, compare=False)
    _lists: bool = field(init=False, repr=False, compare=False)
    """It asks for one of some values, and nothing else."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", f"attribute.{self.name}")
        object.__setattr__(self, "_texts", frozenset(value for value in self.values or () if isinstance(value, str)))
        others = (self.least, self.most, self.exists)
        object.__setattr__(self, "_lists", self.values is not None and others == (None, None, None))

    def judge(self, view: View) -> Truth:
        view.blamed = self
        if view.consents_only:
            return None
        name, attributes = self.name, view.user.attributes
        found = attributes[name] if name in attributes else attribute(attributes, name)
        view.values[self.seen] = found
        if self._lists and found.__class__ is str:
            return found in self._texts
        if self.exists is False:
            return found is None
        if found is None:
            return False if self.exists else None
        if isinstance(found, list):
            verdict: Truth = False
            for element in found:
                one = self._holds(element)
                if one is True:
                    return True
                if one is None:
                    verdict = None
            return verdict if found else self._asks_nothing
        return self._holds(found)

    @property
    def _asks_nothing(self) -> bool:
        return self.values is None and self.least is None and self.most is None

    def _is_one_of(self, values: tuple[Any, ...], found: Any) -> bool:
        return found in self._texts if isinstance(found, str) else any(same(found, value) for value in values)

    def _holds(self, found: Any) -> Truth:
        if self.values is not None and not self._is_one_of(self.values, found):
            return False
        if self.least is None and self.most is None:
            return True
        if isinstance(found, bool) or not isinstance(found, int | float) or found != found:
            return None
        return (self.least is None or found >= self.least) and (self.most is None or found <= self.most)


@dataclass(frozen=True, slots=True)
class Inside(Leaf):
    """One of the user's devices is in such a place now."""

    ref: PlaceRef

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", f"inside.{self.ref}")

    def judge(self, view: View) -> Truth:
        view.blamed = self
        if view.consents_only:
            return None
        found = any(held[0] > 0 and covers(self.ref, place, view) for place, held in view.user.inside.items())
        view.values[self.seen] = found
        return found


def _since(within_ms: int | None, view: View) -> int:
    """After which instant is counted. What is older than it is kept may be there yet, and is not looked at."""
    kept_ms = view.rules.events_ms
    return view.now_ms - (kept_ms if within_ms is None else min(within_ms, kept_ms))


@dataclass(frozen=True, slots=True)
class EventCount(Leaf):
    """How often an event of a type came within a time: from `least` to `most`."""

    type: str
    within_ms: int | None
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", f"event_count.{self.type}")

    def judge(self, view: View) -> Truth:
        view.blamed = self
        if view.consents_only:
            return None
        count, events, wanted = 0, view.user.events, self.type
        if events:
            since = _since(self.within_ms, view)
            for time_ms, kind in events:
                if time_ms > since and kind == wanted:
                    count += 1
        view.values[self.seen] = count
        return self.least <= count and (self.most is None or count <= self.most)


@dataclass(frozen=True, slots=True)
class Visits(Leaf):
    """How often the user entered such a place within a time. `ref` None means the occasion's own place."""

    ref: PlaceRef | None
    within_ms: int | None
    least: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", f"visits.{self.ref or 'same'}")

    def judge(self, view: View) -> Truth:
        view.blamed = self
        if view.consents_only or (self.ref is None and view.occasion.place is None):
            return None
        since = _since(self.within_ms, view)
        count = sum(1 for time_ms, place in view.user.visits if time_ms > since and self._means(place, view))
        view.values[self.seen] = count
        return self.least <= count and (self.most is None or count <= self.most)

    def _means(self, place: str, view: View) -> bool:
        if self.ref is None:
            return view.occasion.place is not None and place == view.occasion.place.id
        return covers(self.ref, place, view)


@dataclass(frozen=True, slots=True)
class UserIn(Leaf):
    """The user is one of these."""

    ids: frozenset[str]

    def __post_init__(self) -> None:
        object.__setattr__(self, "seen", "user")

    def judge(self, view: View) -> Truth:
        view.blamed = self
        if view.consents_only:
            return None
        view.values[self.seen] = view.user.id
        return view.user.id in self.ids


def judge(audience: Clause, view: View) -> Refusal | None:
    """Why the user is not meant; None if they are.

    False with every consent taken as given is `audience`; else False is `consent`; else None is `unknown`.
    """
    view.given, view.lacking = True, False
    supposed = audience.judge(view)
    if supposed is False:
        return Reason.AUDIENCE, _path(view), view.values
    view.given = False
    found = audience.judge(view) if view.lacking else supposed
    if found is True:
        return None
    if found is None:
        return Reason.UNKNOWN, _path(view), view.values
    if not (isinstance(view.blamed, Consent) and isinstance(audience, All) and view.blamed in audience.clauses):
        view.blamed = _lacking(audience, view, False)  # most rules ask in the outermost `all`: there it is plain
    return Reason.CONSENT, _path(view), view.values


def _lacking(clause: Clause, view: View, verdict: bool) -> Leaf | None:
    """The first consent for want of which a clause has this verdict: with every consent given it has another.

    Beside it may stand what has that verdict in any case, and would be blamed as the first that has it.
    """
    if isinstance(clause, Not):
        return _lacking(clause.clause, view, not verdict)
    for below in clause.clauses if isinstance(clause, All | OneOf) else ():
        view.given = False
        if below.judge(view) is verdict:
            view.given = True
            if below.judge(view) is not verdict:
                return _lacking(below, view, verdict)
    return clause if isinstance(clause, Leaf) else None


def _path(view: View) -> str:
    return view.blamed.path if view.blamed is not None and view.blamed.path else "audience"


def withdrawn(audience: Clause, view: View) -> bool:
    """True if the consents alone, as they are now, shut the user out, whatever else is true of them."""
    view.given, view.consents_only = False, True
    return audience.judge(view) is False


def purposes(clause: Clause) -> Iterator[str]:
    """Every purpose whose consent a clause asks for, however deep."""
    if isinstance(clause, Consent):
        yield clause.purpose
    elif isinstance(clause, All | OneOf):
        for below in clause.clauses:
            yield from purposes(below)
    elif isinstance(clause, Not):
        yield from purposes(clause.clause)


def withheld(clause: Clause, *, given: bool = True) -> Iterator[str]:
    """Every purpose whose consent a clause asks to be missing: those in a `not`, and in no other `not` with it."""
    if isinstance(clause, Consent) and not given:
        yield clause.purpose
    elif isinstance(clause, All | OneOf):
        for below in clause.clauses:
            yield from withheld(below, given=given)
    elif isinstance(clause, Not):
        yield from withheld(clause.clause, given=not given)


def asks(clause: Clause, kind: type[Leaf]) -> bool:
    """True if a clause is one of a kind, or has one in it, however deep."""
    if isinstance(clause, All | OneOf):
        return any(asks(below, kind) for below in clause.clauses)
    return isinstance(clause, kind) or (isinstance(clause, Not) and asks(clause.clause, kind))


def same(found: Any, value: Any) -> bool:
    """True if two scalars are the same value of the same kind.

    >>> same(1, 1.0), same(True, 1), same("1", 1)
    (True, False, False)
    """
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if isinstance(found, int | float) and isinstance(value, int | float):
        return found == value
    return isinstance(found, str) and isinstance(value, str) and found == value


def attribute(attributes: Mapping[str, Any], path: str) -> Any:
    """The value under a name, or under a dotted path into nested objects; None where there is none.

    >>> attribute({"home": {"city": "Tokyo"}}, "home.city")
    'Tokyo'
    """
    if path in attributes:
        return attributes[path]
    found: Any = attributes
    for part in path.split("."):
        if not isinstance(found, dict) or part not in found:
            return None
        found = found[part]
    return found


def covers(ref: PlaceRef, place_id: str, view: View) -> bool:
    """True if a reference means the place of this id."""
    if ref.id is not None:
        return ref.id == place_id
    place = view.places.get(place_id)
    return place is not None and ref.covers(place)


def asks_own_place(clause: Clause) -> bool:
    """True if a clause, however deep, asks for visits of the occasion's own place."""
    if isinstance(clause, All | OneOf):
        return any(map(asks_own_place, clause.clauses))
    if isinstance(clause, Not):
        return asks_own_place(clause.clause)
    return isinstance(clause, Visits) and clause.ref is None
