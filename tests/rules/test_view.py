"""A view is shared by the rules on one occasion, and rules share parts: neither changes what any of them decides."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from rules.audience import All, Attribute
from rules.decide import decide
from rules.facts import Outcome, Reason, Send
from rules.place import PlaceRef
from rules.sharing import shared
from rules.units import DAY_MS
from rules.view import View
from tests.rules.scene import BY_ID, HOUR, SHINJUKU, WED_17, entered, rule_of, rule_set, send, user

#: Rules of one hand: each has parts that others have too, and one of its own.
AUDIENCES = (
    "audience: {all: [{consent: ads}]}",
    "audience: {all: [{consent: ads}, {attribute: tier, in: [gold, 1]}]}",
    "audience: {all: [{consent: ads}, {attribute: tier, in: [gold, true]}]}",
    "audience: {all: [{consent: ads}, {any: [{consent: mail}, {event_count: {type: purchase, within: 7d}}]}]}",
    "audience: {all: [{consent: ads}, {not: {any: [{inside: {tag: own-store}}, {visits: {place: same, min: 2}}]}}]}",
)
HOURS = (
    "",
    'schedule: {windows: [{days: [wed], from: "17:00", to: "18:00"}]}',
    'schedule: {timezone: user, windows: [{from: "09:00", to: "20:00"}]}\nquiet_hours: {from: "18:00", to: "19:00"}',
    'quiet_hours: {from: "18:00", to: "19:00", timezone: Asia/Kathmandu}',
)
LIMITS = (
    "",
    "limits: {cooldown: none, caps: [{scope: all, max: 2, per: day}]}",
    "limits: {cooldown: {per: user, of: 2h}, caps: [{scope: tag, tag: promo, max: 1, per: 7d}]}\ntags: promo",
)
TEXTS = [
    f"{audience}\n{hours}\n{limits}\n".replace("\n\n", "\n")
    for audience in AUDIENCES for hours in HOURS for limits in LIMITS
]  # fmt: skip
RULES = rule_set("---\n".join(rule_of(text).replace("id: r\n", f"id: r-{n:02d}\n", 1) for n, text in enumerate(TEXTS)))
ALONE = [rule_set(rule_of(text).replace("id: r\n", f"id: r-{n:02d}\n", 1)) for n, text in enumerate(TEXTS)]


@given(
    consent=st.dictionaries(st.sampled_from(["ads", "mail"]), st.booleans()),
    tier=st.sampled_from([None, "gold", "iron", 1, True, 1.0]),
    inside=st.sampled_from([{}, {"store-shinjuku": [1, WED_17]}]),
    events=st.lists(st.integers(0, 9).map(lambda d: (WED_17 - d * DAY_MS, "purchase")), max_size=2).map(sorted),
    visits=st.lists(st.integers(0, 9).map(lambda d: (WED_17 - d * DAY_MS, "shinjuku")), max_size=3).map(sorted),
    sends=st.lists(st.integers(0, 30).map(lambda h: WED_17 - h * HOUR), max_size=2).map(sorted),
    timezone=st.sampled_from([None, "Asia/Tokyo", "America/New_York"]),
    minutes=st.integers(-10, 130),
)
def test_rules_that_share_a_view_and_parts_decide_what_each_decides_alone(
    sends: list[int], minutes: int, **known: Any
) -> None:
    tier = known.pop("tier")
    person = user(
        attributes={} if tier is None else {"tier": tier}, sends=[send(t, tags=("promo",)) for t in sends], **known
    )
    occasion = entered(WED_17 + minutes * 60_000)
    together = View(occasion, person, occasion.time_ms, RULES, BY_ID)
    for rule, alone in zip(RULES.rules, ALONE, strict=True):
        apart = View(occasion, person, occasion.time_ms, alone, BY_ID)
        decision = decide(rule, together)
        assert decision == decide(alone.rules[0], apart)
        if decision.outcome is Outcome.SEND:  # the next rule finds it reserved
            person.sends.append(Send(decision.key, rule.id, rule.tags, SHINJUKU.id, occasion.time_ms))


def test_what_rules_have_in_common_is_one_object() -> None:
    same = [rule for rule, text in zip(RULES.rules, TEXTS, strict=True) if AUDIENCES[0] in text]
    assert len({id(rule.audience) for rule in same}) == 1 < len(same)
    assert len({id(rule.schedule) for rule in RULES.rules}) == 3
    assert len({id(rule.actions) for rule in RULES.rules}) == 1
    audiences = [rule.audience for rule in RULES.rules if isinstance(rule.audience, All)]
    assert len(audiences) == len(RULES.rules)
    assert len({id(audience.clauses[0]) for audience in audiences}) == 1


def test_rules_on_the_same_terms_have_them_as_one_object() -> None:
    assert len({id(rule.terms) for rule in RULES.rules}) == len(AUDIENCES) * len(HOURS)
    for rule in RULES.rules:
        terms = rule.terms
        assert (terms.schedule, terms.audience, terms.quiet_hours) == (rule.schedule, rule.audience, rule.quiet_hours)


def test_whatever_but_limits_and_actions_makes_terms_of_its_own() -> None:
    others = (
        *("", "max_event_age: 2m", "max_accuracy: 50m", "mocked: allow", "delivery: at_most_once"),
        *("active: {from: 2026-11-01}", "active: {from: 2026-11-02}", "quiet_hours: {from: '21:00', to: '09:00'}"),
    )
    texts = [rule_of(f"{text}\n").replace("id: r\n", f"id: r-{n}\n", 1) for n, text in enumerate(others)]
    alike = [
        rule_of(f"{text}\n").replace("id: r\n", f"id: s-{n}\n", 1)
        for n, text in enumerate(("priority: 3", "tags: a", "initial: fire", "limits: {cooldown: none}"))
    ]
    rules = rule_set("---\n".join([*texts, *alike, rule_of("", state="test")]))
    assert len({id(rule.terms) for rule in rules.rules}) == len(others) + 1
    assert [rule.id for rule in rules.rules if rule.terms.test] == ["r"]


def test_a_text_that_names_its_rule_is_no_other_rules() -> None:
    texts = [
        rule_of(f"actions: [push: {{body: '{body}'}}]\n").replace("id: r\n", f"id: {name}\n", 1)
        for name, body in (
            ("a", "I am {rule.id}"),
            ("b", "I am {rule.id}"),
            ("c", "At {place.id}"),
            ("d", "At {place.id}"),
        )
    ]
    rules = rule_set("---\n".join(texts))
    view = View(entered(), user(), WED_17, rules, BY_ID)
    first, second, third, fourth = (decide(rule, view).messages for rule in rules.rules)
    assert [message.body for message in (*first, *second, *third)] == ["I am a", "I am b", "At shinjuku"]
    assert third is fourth


def test_a_cap_on_a_rules_own_sends_is_counted_for_each_rule() -> None:
    limits = "limits: {cooldown: none, caps: [{scope: rule, max: 1, per: 7d}]}\n"
    rules = rule_set("---\n".join(rule_of(limits).replace("id: r\n", f"id: {name}\n", 1) for name in "ab"))
    view = View(entered(), user(sends=[send(WED_17 - HOUR, "a")]), WED_17, rules, BY_ID)
    assert [decide(rule, view).reason for rule in rules.rules] == [Reason.CAP, Reason.SENT]


def test_a_send_of_one_rule_counts_for_the_next_with_the_same_caps() -> None:
    limits = "limits: {cooldown: none, caps: [{scope: all, max: 2, per: 7d}]}\n"
    rules = rule_set("---\n".join(rule_of(limits).replace("id: r\n", f"id: {name}\n", 1) for name in "abc"))
    person = user(sends=[send(WED_17 - HOUR, "z")])
    view = View(entered(), person, WED_17, rules, BY_ID)
    reasons = []
    for rule in rules.rules:
        decision = decide(rule, view)
        reasons.append(decision.reason)
        if decision.outcome is Outcome.SEND:
            person.sends.append(Send(decision.key, rule.id, (), SHINJUKU.id, WED_17))
    assert reasons == [Reason.SENT, Reason.CAP, Reason.CAP]


def test_what_is_equal_but_not_the_same_is_not_shared() -> None:
    known: dict[str, Any] = {}
    one, true, whole = (shared(Attribute("p", "a", values=(value,)), known) for value in (1, True, 1.0))
    assert one == true == whole
    assert [found.values[0] for found in (one, true, whole)] == [1, True, 1.0]
    assert (one.values[0].__class__, true.values[0].__class__, whole.values[0].__class__) == (int, bool, float)
    assert shared(PlaceRef(id="a"), known) is shared(PlaceRef(id="a"), known)


def test_each_keeps_a_dictionary_of_its_own() -> None:
    known: dict[str, Any] = {}
    one, other = shared(({"a": 1},), known), shared(({"a": 1}, 2), known)
    assert one[0] == other[0]
    assert one[0] is not other[0]
