"""The rule set: what may act where, found without looking at the other rules."""

from __future__ import annotations

from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from rules.facts import Kind
from rules.model import TRANSITIONS, Rule, Trigger
from rules.place import Place, PlaceKind, PlaceRef
from rules.ruleset import RuleSet
from tests.rules.scene import FOOD, PLACES, RULE, SHINJUKU, SOHO, STORE, TEMPLATES, event, rule_of, rule_set
from tests.work import calls_of


def rule(name: str, *triggers: Trigger, **more: object) -> Rule:
    given_ = {"state": "live"} | more
    return Rule(name, tuple(replace(t, index=i) for i, t in enumerate(triggers)), (), **given_)  # type: ignore[arg-type]


def at(ref: PlaceRef | None, kind: Kind = Kind.ENTERED, dwell_ms: int | None = None) -> Trigger:
    return Trigger(kind, place=ref, dwell_ms=dwell_ms)


def names(pairs: tuple[tuple[Rule, Trigger], ...]) -> list[tuple[str, int]]:
    return [(r.id, t.index) for r, t in pairs]


def ids(rules: tuple[Rule, ...]) -> list[str]:
    return [r.id for r in rules]


def test_rules_are_found_by_id_tag_and_group_and_by_no_place_at_all() -> None:
    rules = RuleSet(
        (
            rule("by-id", at(PlaceRef(id="soho"))),
            rule("by-tag", at(PlaceRef(tag="own-store"))),
            rule("by-group", at(PlaceRef(group="stores"))),
            rule("anywhere", at(None)),
            rule("leaving", at(PlaceRef(id="soho"), Kind.EXITED)),
        )
    )
    assert ids(rules.for_transition(SOHO, Kind.ENTERED)) == [
        "anywhere",
        "by-group",
        "by-id",
        "by-tag",
    ]
    assert ids(rules.for_transition(STORE, Kind.ENTERED)) == ["anywhere", "by-group", "by-tag"]
    assert ids(rules.for_transition(SHINJUKU, Kind.ENTERED)) == ["anywhere"]
    assert ids(rules.for_transition(SOHO, Kind.EXITED)) == ["leaving"]
    assert rules.for_transition(SOHO, Kind.CROSSED) == ()
    for place in (SOHO, STORE, SHINJUKU):
        assert rules.kinds_at(place) == {kind for kind in TRANSITIONS if rules.for_transition(place, kind)}


def test_the_higher_priority_comes_first_and_then_the_id() -> None:
    rules = RuleSet(
        (rule("b", at(None)), rule("a", at(None)), rule("c", at(None), priority=5), rule("d", at(None), priority=-1))
    )
    assert ids(rules.for_transition(SOHO, Kind.ENTERED)) == ["c", "a", "b", "d"]


def test_only_live_and_test_rules_act() -> None:
    states = ("draft", "test", "live", "paused")
    rules = RuleSet(
        tuple(rule(s, at(None), Trigger(Kind.TIMER), Trigger(Kind.EVENT, event_type="p"), state=s) for s in states)
    )
    acting = ["live", "test"]
    assert ids(rules.for_transition(SOHO, Kind.ENTERED)) == acting
    assert [n for n, _ in names(rules.for_event("p"))] == acting
    assert [n for n, _ in names(rules.timers)] == acting
    assert rules.running == frozenset(acting)
    assert rules.rule("draft") is not None and rules.rule("nobody") is None
    assert len(rules.rules) == 4


def test_dwell_times_are_gathered_and_filtered() -> None:
    rules = RuleSet(
        (
            rule(
                "long", at(PlaceRef(id="soho"), Kind.DWELLED, 600_000), at(PlaceRef(tag="abroad"), Kind.DWELLED, 60_000)
            ),
            rule("short", at(PlaceRef(tag="own-store"), Kind.DWELLED, 60_000)),
        )
    )
    assert (rules.dwell_durations(SOHO), rules.dwell_durations(STORE)) == ((60_000, 600_000), (60_000,))
    assert rules.dwell_durations(FOOD) == ()
    assert ids(rules.for_transition(SOHO, Kind.DWELLED, 60_000)) == ["long", "short"]
    assert ids(rules.for_transition(SOHO, Kind.DWELLED)) == ["long", "short"]
    assert rules.for_transition(SOHO, Kind.DWELLED, 61_000) == ()


def test_a_rule_that_means_a_place_in_two_ways_stands_once() -> None:
    rules = RuleSet((rule("r", at(PlaceRef(tag="abroad")), at(PlaceRef(tag="own-store"))),))
    assert ids(rules.for_transition(SOHO, Kind.ENTERED)) == ["r"]


def test_crossing_is_wanted_only_where_a_rule_asks_for_it() -> None:
    rules = RuleSet(
        (rule("r", at(PlaceRef(tag="own-store"), Kind.CROSSED)), rule("d", at(None, Kind.CROSSED), state="draft"))
    )
    assert [rules.crossing_wanted(place) for place in (SOHO, STORE, SHINJUKU)] == [True, True, False]


def test_a_rule_stands_once_for_each_of_its_event_triggers() -> None:
    rules = rule_set(
        rule_of("", trigger="{any: [{event: p, where: {data.x: 1}}, {event: p, where: {data.x: 2}}, {event: q}]}")
    )
    assert (names(rules.for_event("p")), names(rules.for_event("q"))) == ([("r", 0), ("r", 1)], [("r", 2)])
    assert rules.for_event("z") == ()
    assert event("p").kind_name == "p"


def test_a_timer_is_due_in_the_zones_of_its_places() -> None:
    def zones(trigger: Trigger) -> list[str]:
        rules = RuleSet((rule("r", trigger),), places=PLACES, timezone=ZoneInfo("Europe/Paris"))
        return [tz.key for tz in rules.timer_zones(trigger)]

    assert zones(Trigger(Kind.TIMER)) == ["Europe/Paris"]
    assert zones(Trigger(Kind.TIMER, timezone="Asia/Seoul")) == ["Asia/Seoul"]
    assert zones(Trigger(Kind.TIMER, inside=PlaceRef(tag="own-store"))) == ["America/New_York", "Asia/Tokyo"]
    assert zones(Trigger(Kind.TIMER, inside=PlaceRef(id="food"))) == ["Europe/Paris"]
    assert zones(Trigger(Kind.TIMER, inside=PlaceRef(id="gone"))) == ["Europe/Paris"]


def test_the_horizon_is_that_of_the_farthest_limit() -> None:
    rules = rule_set(RULE, rule_of("limits: {caps: [{scope: all, max: 9, per: 40d}]}\n"))
    assert rules.sends_horizon_ms == 40 * 86_400_000
    assert rule_set().sends_horizon_ms == 0


def test_the_purposes_are_those_that_rules_ask_consent_for() -> None:
    assert rule_set(RULE, rule_of("")).purposes == {"location_marketing", "ads"}


def version(text: str, templates: dict[str, bytes] | None = None) -> str:
    return rule_set(text, templates=templates).rules[0].version


def test_a_version_names_the_content_and_not_its_form() -> None:
    same = "# a comment\n" + RULE.replace("priority: 0\n", "").replace("state: live\n", "priority: 0\nstate: live\n")
    assert version(same) == version(RULE)
    assert version(RULE[: RULE.index("tests:")]) == version(RULE)
    assert version(RULE.replace("max: 5", "max: 6")) != version(RULE)
    assert version(RULE, TEMPLATES | {"templates/other.yaml": b"en: {body: x}"}) == version(RULE)
    changed = {"templates/timesale.yaml": TEMPLATES["templates/timesale.yaml"].replace(b"six", b"seven")}
    assert version(RULE, changed) != version(RULE)


def test_ten_thousand_rules_elsewhere_cost_nothing_here() -> None:
    few, many = (
        RuleSet(tuple(rule(f"r-{i}", at(PlaceRef(id=f"p-{i}")), at(PlaceRef(tag=f"t-{i}"))) for i in range(rules)))
        for rules in (20, 10_000)
    )
    here = Place("p-5", PlaceKind.FENCE, tags=frozenset({"t-9"}))

    def asked(rules: RuleSet) -> int:
        def ask() -> None:
            assert ids(rules.for_transition(here, Kind.ENTERED)) == ["r-5", "r-9"]
            for i in range(10, 20):
                place = Place(f"p-{i}", PlaceKind.FENCE)
                assert ids(rules.for_transition(place, Kind.ENTERED)) == [f"r-{i}"]
                assert not rules.crossing_wanted(place) and rules.dwell_durations(place) == ()

        return calls_of(ask)

    assert asked(many) == asked(few)


refs = st.one_of(
    st.none(),
    st.builds(PlaceRef, id=st.sampled_from("abc")),
    st.builds(PlaceRef, tag=st.sampled_from("xyz")),
    st.builds(PlaceRef, group=st.sampled_from("gh")),
)
triggers = st.builds(at, refs, st.sampled_from([Kind.ENTERED, Kind.EXITED, Kind.DWELLED]), st.sampled_from([1, 2]))
places = st.builds(
    Place,
    st.sampled_from("abc"),
    st.just(PlaceKind.FENCE),
    tags=st.frozensets(st.sampled_from("xyz")),
    group=st.none() | st.sampled_from("gh"),
)


@given(st.lists(st.tuples(st.lists(triggers, min_size=1, max_size=3), st.integers(-1, 1)), max_size=6), places)
def test_the_index_finds_what_a_loop_over_all_rules_finds(made: list[tuple[list[Trigger], int]], place: Place) -> None:
    rules = RuleSet(tuple(rule(f"r{i}", *ts, priority=p) for i, (ts, p) in enumerate(made)))
    for kind in (Kind.ENTERED, Kind.EXITED, Kind.DWELLED):
        for dwell_ms in (None, 1, 2) if kind is Kind.DWELLED else (None,):
            expected = [
                r.id
                for r in sorted(rules.rules, key=lambda r: (-r.priority, r.id))
                if any(t.kind is kind and t.meets(place) and dwell_ms in (None, t.dwell_ms) for t in r.triggers)
            ]
            assert ids(rules.for_transition(place, kind, dwell_ms)) == expected
