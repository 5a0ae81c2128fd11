"""Audiences: three-valued logic, where only what is surely true lets a message out."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.audience import (
    All,
    Attribute,
    Clause,
    Consent,
    EventCount,
    Inside,
    Not,
    OneOf,
    Truth,
    UserIn,
    Visits,
    attribute,
    judge,
    purposes,
    same,
    withdrawn,
)
from rules.facts import Reason, User
from rules.place import PlaceRef
from rules.ruleset import RuleSet
from rules.units import DAY_MS
from rules.view import View
from tests.rules.scene import BY_ID, FOOD, STORE, WED_17, entered, event

TRUTHS: tuple[Truth, ...] = (True, False, None)


class Fixed(Attribute):
    """A clause of a known truth."""

    __slots__ = ()

    def judge(self, view: View) -> Truth:
        view.blamed = self
        return {"yes": True, "no": False, "unknown": None}[self.name]


def fixed(truth: Truth, path: str = "p") -> Clause:
    return Fixed(path, "yes" if truth else "unknown" if truth is None else "no")


def view(user: User | None = None, **more: Any) -> View:
    return View(entered(), user or User("u"), WED_17, RuleSet(), BY_ID, **more)


@pytest.mark.parametrize(("one", "two"), list(product(TRUTHS, TRUTHS)))
def test_all_any_and_not_follow_the_truth_table(one: Truth, two: Truth) -> None:
    both = (fixed(one), fixed(two))
    expected_all = False if False in (one, two) else None if None in (one, two) else True
    expected_any = True if True in (one, two) else None if None in (one, two) else False
    assert All(both).judge(view()) is expected_all
    assert OneOf(both).judge(view()) is expected_any
    assert Not(both[0]).judge(view()) is (None if one is None else not one)


@pytest.mark.parametrize(("one", "two", "three"), list(product(TRUTHS, TRUTHS, TRUTHS)))
def test_the_blame_is_on_the_first_clause_that_made_the_verdict(one: Truth, two: Truth, three: Truth) -> None:
    truths = (one, two, three)
    clauses = tuple(fixed(truth, str(i)) for i, truth in enumerate(truths))
    for combined in (All(clauses), OneOf(clauses)):
        seen, seen_inside = view(), view()
        verdict = combined.judge(seen)
        Not(combined).judge(seen_inside)
        assert seen.blamed is not None and seen.blamed.path == str(truths.index(verdict))
        assert seen_inside.blamed is seen.blamed


def attr(user: User, **asked: Any) -> Truth:
    return Attribute("a", "x", **asked).judge(view(user))


@pytest.mark.parametrize(
    ("found", "asked", "truth"),
    [
        ("gold", {"values": ("gold", "silver")}, True),
        ("bronze", {"values": ("gold", "silver")}, False),
        ("Gold", {"values": ("gold",)}, False),
        (None, {"values": ("gold",)}, None),
        (1, {"values": (1.0,)}, True),
        (True, {"values": (1,)}, False),
        (1, {"values": (True,)}, False),
        ("1", {"values": (1,)}, False),
        (True, {"values": (True,)}, True),
        (5, {"least": 5}, True),
        (4.999, {"least": 5}, False),
        (5, {"most": 5}, True),
        (6, {"least": 1, "most": 5}, False),
        (10**400, {"most": 5}, False),
        (True, {"least": 0}, None),
        ("5", {"least": 5}, None),
        (float("nan"), {"least": 5}, None),
        (float("nan"), {"values": (5,)}, False),
        (float("inf"), {"least": 5}, True),
        ({"a": 1}, {"values": ("a",)}, False),
        ({"a": 1}, {"least": 1}, None),
        (5, {"values": (5,), "least": 6}, False),
        ("x", {"values": ("y",), "least": 6}, False),
        ("x", {"exists": True}, True),
        (None, {"exists": True}, False),
        (None, {"exists": False}, True),
        ("x", {"exists": False}, False),
        (0, {"exists": True}, True),
        (None, {"exists": True, "values": ("x",)}, False),
        (["fashion", "food"], {"values": ("food",)}, True),
        (["fashion"], {"values": ("food",)}, False),
        ([], {"values": ("food",)}, False),
        ([1, "x", 7], {"least": 6}, True),
        ([1, "x"], {"least": 6}, None),
        ([], {"exists": True}, True),
        ([[1]], {"values": (1,)}, False),
    ],
)
def test_an_attribute_is_compared_by_kind_and_what_cannot_be_compared_cannot_be_told(
    found: Any, asked: dict[str, Any], truth: Truth
) -> None:
    person = User("u", attributes={} if found is None else {"x": found})
    assert attr(person, **asked) is truth


def test_dots_lead_into_nested_objects_but_a_name_with_dots_comes_first() -> None:
    nested = {"home": {"city": "Tokyo"}, "home.city": "Kyoto"}
    assert attribute(nested, "home.city") == "Kyoto"
    assert attribute({"home": {"city": "Tokyo"}}, "home.city") == "Tokyo"
    assert attribute({"home": "Tokyo"}, "home.city") is None
    assert attribute({}, "home.city") is None


@pytest.mark.parametrize(("record", "truth"), [({"ads": True}, True), ({"ads": False}, False), ({}, False)])
def test_no_record_of_a_consent_is_not_given(record: dict[str, bool], truth: bool) -> None:
    clause = Consent("c", "ads")
    assert clause.judge(view(User("u", consent=record))) is truth
    assert clause.judge(view(User("u", consent=record), given=True)) is True


def test_only_true_is_a_consent() -> None:
    record: dict[str, Any] = {"ads": "yes"}
    assert Consent("c", "ads").judge(view(User("u", consent=record))) is False


@pytest.mark.parametrize(
    ("ref", "inside", "truth"),
    [
        (PlaceRef(id="shinjuku"), {"shinjuku": [1, 0]}, True),
        (PlaceRef(id="shinjuku"), {"shinjuku": [0, 0]}, False),
        (PlaceRef(id="shinjuku"), {}, False),
        (PlaceRef(tag="own-store"), {"store-shinjuku": [2, 0]}, True),
        (PlaceRef(tag="own-store"), {"shinjuku": [1, 0]}, False),
        (PlaceRef(group="stores"), {"soho": [1, 0]}, True),
        (PlaceRef(tag="own-store"), {"gone": [1, 0]}, False),
    ],
)
def test_inside_asks_where_the_users_devices_are(ref: PlaceRef, inside: dict[str, list[int]], truth: bool) -> None:
    assert Inside("i", ref).judge(view(User("u", inside=inside))) is truth


@pytest.mark.parametrize(
    ("least", "most", "truth"),
    [(2, None, True), (3, None, False), (0, 2, True), (0, 1, False), (2, 2, True), (0, None, True)],
)
def test_events_of_a_type_are_counted(least: int, most: int | None, truth: bool) -> None:
    events = [(WED_17 - 2 * DAY_MS, "purchase"), (WED_17 - DAY_MS, "page.viewed"), (WED_17, "purchase")]
    clause = EventCount("e", "purchase", 7 * DAY_MS, least, most)
    assert clause.judge(view(User("u", events=events))) is truth


def test_a_count_looks_back_as_far_as_it_says_and_no_further() -> None:
    events = [(WED_17 - DAY_MS, "purchase"), (WED_17 - DAY_MS + 1, "purchase")]
    seen = view(User("u", events=events))
    EventCount("e", "purchase", DAY_MS).judge(seen)
    EventCount("e", "purchase", None).judge(forever := view(User("u", events=events)))
    assert (seen.values["event_count.purchase"], forever.values["event_count.purchase"]) == (1, 2)


def test_visits_are_counted_by_id_by_tag_and_at_the_occasions_own_place() -> None:
    visits = [(WED_17 - 3, "store-shinjuku"), (WED_17 - 2, "soho"), (WED_17 - 1, "shinjuku"), (WED_17, "soho")]
    seen = view(User("u", visits=visits))
    for ref in (PlaceRef(id="soho"), PlaceRef(tag="own-store"), None):
        Visits("v", ref, DAY_MS).judge(seen)
    assert seen.values == {"visits.soho": 2, "visits.tag own-store": 3, "visits.same": 1}


def test_visits_at_the_same_place_cannot_be_told_without_a_place() -> None:
    assert Visits("v", None, None).judge(View(event("p"), User("u"), WED_17, RuleSet(), BY_ID)) is None


def test_the_user_may_be_one_of_a_few() -> None:
    clause = UserIn("u", frozenset({"u", "v"}))
    assert (clause.judge(view()), clause.judge(view(User("w")))) == (True, False)


# -- which reason


def reason(audience: Clause, person: User) -> Reason | None:
    refusal = judge(audience, view(person))
    return None if refusal is None else refusal[0]


GOLD = Attribute("gold", "tier", values=("gold",))
CONSENT = Consent("consent", "ads")


@pytest.mark.parametrize(
    ("consent", "tier", "expected"),
    [
        (True, "gold", None),
        (True, "iron", Reason.AUDIENCE),
        (True, None, Reason.UNKNOWN),
        (False, "gold", Reason.CONSENT),
        (False, "iron", Reason.AUDIENCE),  # would not have been meant with consent either
        (False, None, Reason.CONSENT),
        (None, "gold", Reason.CONSENT),
        (None, "iron", Reason.AUDIENCE),
    ],
)
def test_the_audience_comes_before_consent_and_consent_before_unknown(
    consent: bool | None, tier: str | None, expected: Reason | None
) -> None:
    person = User("u", attributes={"tier": tier}, consent={} if consent is None else {"ads": consent})
    assert reason(All((CONSENT, GOLD)), person) is expected
    assert reason(All((GOLD, CONSENT)), person) is expected


def test_whoever_asks_for_no_consent_gets_nobody_who_gave_it() -> None:
    refused = All((Not(CONSENT),))
    assert reason(refused, User("u", consent={"ads": True})) is Reason.AUDIENCE
    assert reason(refused, User("u")) is Reason.AUDIENCE  # false with every consent taken as given


TIER = Attribute("tier", "tier", values=("gold",))
MAIL = Consent("mail", "mail")


@pytest.mark.parametrize(
    ("audience", "blamed"),
    [
        (All((CONSENT, OneOf((TIER, MAIL)))), "mail"),
        (All((MAIL, CONSENT)), "mail"),
        (OneOf((TIER, All((MAIL, TIER)), Not(CONSENT), MAIL)), "mail"),  # `tier` fails whatever is consented to
        (Not(All((Not(TIER), Not(OneOf((TIER, MAIL)))))), "mail"),
    ],
)
def test_a_missing_consent_is_named_not_what_else_is_false_beside_it(audience: Clause, blamed: str) -> None:
    person = User("u", attributes={"tier": "iron"}, consent={"ads": True})
    refusal = judge(audience, view(person))
    assert refusal is not None
    assert refusal[:2] == (Reason.CONSENT, blamed)


clauses: st.SearchStrategy[Clause] = st.recursive(
    st.sampled_from(TRUTHS).map(fixed) | st.sampled_from(["ads", "mail"]).map(lambda p: Consent(p, p)),
    lambda below: (
        st.lists(below, min_size=1, max_size=3).map(lambda c: All(tuple(c)))
        | st.lists(below, min_size=1, max_size=3).map(lambda c: OneOf(tuple(c)))
        | below.map(Not)
    ),
    max_leaves=8,
)


@given(clauses, st.dictionaries(st.sampled_from(["ads", "mail"]), st.booleans()))
def test_the_reason_is_what_the_definition_says(audience: Clause, consent: dict[str, bool]) -> None:
    person = User("u", consent=consent)
    supposed, found = audience.judge(view(person, given=True)), audience.judge(view(person))
    expected = (
        Reason.AUDIENCE if supposed is False
        else Reason.CONSENT if found is False
        else Reason.UNKNOWN if found is None
        else None
    )  # fmt: skip
    refusal = judge(audience, view(person))
    assert (None if refusal is None else refusal[0]) is expected
    if refusal is not None and expected is Reason.CONSENT:
        assert refusal[1] in {"ads", "mail"} - {purpose for purpose, is_given in consent.items() if is_given}


@given(clauses, st.dictionaries(st.sampled_from(["ads", "mail"]), st.booleans()))
def test_what_is_withdrawn_could_not_be_sent_anew(audience: Clause, consent: dict[str, bool]) -> None:
    person = User("u", consent=consent)
    if withdrawn(audience, view(person)) and not any(isinstance(c, Fixed) for c in _leaves(audience)):
        assert audience.judge(view(person)) is not True


def _leaves(clause: Clause) -> list[Clause]:
    if isinstance(clause, All | OneOf):
        return [leaf for below in clause.clauses for leaf in _leaves(below)]
    return _leaves(clause.clause) if isinstance(clause, Not) else [clause]


@pytest.mark.parametrize(
    ("audience", "consent", "is_withdrawn"),
    [
        (All((CONSENT, GOLD)), {"ads": True}, False),
        (All((CONSENT, GOLD)), {"ads": False}, True),
        (All((CONSENT, GOLD)), {}, True),
        (All((GOLD,)), {}, False),
        (OneOf((CONSENT, Consent("m", "mail"))), {"mail": True}, False),
        (OneOf((CONSENT, Consent("m", "mail"))), {"mail": False}, True),
        (OneOf((CONSENT, GOLD)), {}, False),
        (All((CONSENT, Not(Consent("m", "stop")))), {"ads": True, "stop": True}, True),
    ],
)
def test_consent_alone_can_withdraw_a_message(audience: Clause, consent: dict[str, bool], is_withdrawn: bool) -> None:
    assert withdrawn(audience, view(User("u", attributes={"tier": "iron"}, consent=consent))) is is_withdrawn


def test_every_purpose_is_found_however_deep() -> None:
    audience = All((CONSENT, OneOf((GOLD, Not(Consent("m", "mail"))))))
    assert list(purposes(audience)) == ["ads", "mail"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=3), below, max_size=3),
    max_leaves=6,
)


@given(json_values, json_values)
def test_no_attribute_from_outside_makes_a_clause_raise(found: Any, other: Any) -> None:
    person = User("u", attributes={"x": found, "y": {"z": other}})
    for name in ("x", "y.z", "y", "x.a.b"):
        for asked in ({"values": ("a", 1, True)}, {"least": 1}, {"most": 1.5}, {"exists": True}, {"exists": False}):
            assert Attribute("a", name, **asked).judge(view(person)) in (True, False, None)  # type: ignore[arg-type]
    assert same(found, other) in (True, False)


def test_places_that_are_named_by_id_need_not_exist_any_more() -> None:
    person = User("u", visits=[(WED_17, "gone")], inside={"gone": [1, WED_17]})
    assert Inside("i", PlaceRef(id="gone")).judge(view(person)) is True
    assert Visits("v", PlaceRef(id="gone"), None, 1).judge(view(person)) is True
    assert {FOOD.id, STORE.id} <= set(BY_ID)
