"""The linter: each mistake at its line and column, in the words of `linter_cases.txt`, and all of them at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.place import Place, PlaceKind
from rules.units import DAY_MS
from tests.rules.scene import PLACES, RULE, TEMPLATE, TEMPLATES, lines, read, rule_of, rule_set

CASES = (Path(__file__).parent / "linter_cases.txt").read_text("utf-8").split("\n=== ")[1:]


def _case(text: str) -> tuple[str, list[str]]:
    """The rule file of a case, and what must be said of it."""
    given, _, said = text.partition("\n--- says\n")
    _, form, *rest = given.split("\n")
    if form == "edit":
        old, new = (line[2:] for line in rest)
        assert old in RULE
        return RULE.replace(old, new, 1), said.strip("\n").split("\n")
    body = "\n".join(rest) + "\n"
    return body if form == "whole" else rule_of(body), said.strip("\n").split("\n")


@pytest.mark.parametrize("text", CASES, ids=lambda text: text.partition("\n")[0])
def test_a_mistake_has_its_place_and_its_words(text: str) -> None:
    file, said = _case(text)
    assert lines(file) == said


def test_there_are_many_cases_and_the_good_rule_is_good() -> None:
    assert len(CASES) > 100
    assert lines(RULE) == []
    assert lines(rule_of("")) == []


def test_every_message_is_one_line_that_says_how_to_mend_it_without_a_full_stop() -> None:
    for text in CASES:
        for line in _case(text)[1]:
            assert not line.endswith((".", " ", ","))
            assert line.count("`") % 2 == 0


@pytest.mark.parametrize(("written", "meant"), [("+1", 1), ("007", 7), ("-01", -1), ("+0", 0)])
def test_a_number_may_have_a_sign_or_zeros_before_it_where_one_is_wanted(written: str, meant: int) -> None:
    file = RULE.replace("priority: 0", f"priority: {written}")
    assert lines(file) == []
    assert rule_set(file).rules[0].priority == meant


def test_all_mistakes_of_all_files_come_at_once_in_order() -> None:
    found = lines(
        RULE.replace("state: live", "state: lve").replace("max: 2", 'max: "2"'),
        "id: b\nid: c\n",
        "a: [",
        templates={"templates/timesale.yaml": b"ja: {title: x}\n", "templates/other.yaml": b"en: {body: '{shop}'}\n"},
    )
    assert [line.split(": ")[0] for line in found] == [
        "rules/a.yaml:2:8",
        "rules/a.yaml:18:46",
        "rules/b.yaml:1:1",
        "rules/b.yaml:1:1",
        "rules/b.yaml:2:1",
        "rules/c.yaml:1:5",
        "templates/other.yaml:1:12",
        "templates/timesale.yaml:1:5",
    ]


def test_a_document_that_breaks_off_is_told_once_and_those_before_it_are_judged() -> None:
    found = lines(rule_of("priority: x\n") + "---\nid: b\nstate: [\n")
    assert [line.partition(": ")[0] for line in found] == ["rules/a.yaml:6:11", "rules/a.yaml:10:1"]


def test_an_id_is_unique_over_all_files() -> None:
    assert lines(rule_of(""), rule_of("")) == [
        "rules/b.yaml:1:5: `id` is the id of two rules, got `r`, rename one, the other is at rules/a.yaml:1"
    ]


def test_one_file_holds_many_rules() -> None:
    rules = rule_set(RULE + "---\n" + rule_of(""))
    assert [rule.id for rule in rules.rules] == ["r", "shinjuku-wed-timesale"]
    assert [rule.line for rule in rules.rules] == [rule_line(RULE), 1]


def rule_line(before: str) -> int:
    """The line on which a document begins that stands behind a `---`."""
    return before.count("\n") + 2


def test_without_channels_any_name_is_good() -> None:
    file = rule_of("actions: [{pigeon: {body: coo}}]\n")
    assert lines(file, channels=()) == []
    assert lines(file)[0].endswith("`actions[0].pigeon` is not a configured channel, known are `audit`, `push`")


def test_a_rule_may_look_back_as_far_as_events_are_kept() -> None:
    file = rule_of("audience: {all: [{consent: ads}, {event_count: {type: p, within: 30d}}]}\n")
    assert lines(file, keep_ms={"events": 30 * DAY_MS}) == []
    assert lines(file, keep_ms={"events": 30 * DAY_MS - 1}) != []


def test_drafts_are_checked_as_hard_as_live_rules() -> None:
    assert lines(rule_of("priority: x\n", state="draft")) == lines(rule_of("priority: x\n")) != []


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "",
            "templates/timesale.yaml:1:1: the template is empty, write texts by language, such as "
            "`ja: {title: ..., body: ...}`",
        ),
        ("[]", "templates/timesale.yaml:1:1: needs texts by language, such as `ja: {title: ..., body: ...}`, got `[]`"),
        ("ja: {title: x}", "templates/timesale.yaml:1:5: `ja` needs `body`, add `body:`"),
        (
            "ja: {titel: x, body: y}",
            "templates/timesale.yaml:1:6: `ja.titel` is not a known key, did you mean `title`?",
        ),
        ("ja: x", "templates/timesale.yaml:1:5: `ja` needs a mapping of keys to values, got `x`"),
        ("j_a: {body: x}", "templates/timesale.yaml:1:1: `j_a` is not a possible key here, write it as `ja`"),
        ("en_GB: {body: x}", "templates/timesale.yaml:1:1: `en_GB` is not a possible key here, write it as `en-GB`"),
        (
            "en: {body: x}\nja: {body: y}\nEN: {body: z}",
            "templates/timesale.yaml:3:1: `EN` is a language that is here already, keep one of them, `en` is on line 1",
        ),
        ("ja: {body: ''}", "templates/timesale.yaml:1:12: `ja.body` needs a text that is not empty"),
        (
            "ja: {body: '{'}",
            "templates/timesale.yaml:1:12: `ja.body` has a lone brace, got `{`, write `{{` for a literal one",
        ),
        (
            "ja: {body: '{place.nmae}'}",
            "templates/timesale.yaml:1:12: `ja.body` uses `{place.nmae}`, which no place has, "
            "did you mean `place.name`?",
        ),
        (
            "ja: {body: '{event.sku}'}",
            "rules/a.yaml:21:22: `actions[0].push.template` uses `{event.sku}`, but no trigger of the rule is an "
            "event, remove it",
        ),
        (
            "ja: {body: x}\n---\nen: {body: y}",
            "templates/timesale.yaml:3:1: is a second document in one template file, make it a file of its own",
        ),
    ],
)
def test_templates_are_checked_too(template: str, said: str) -> None:
    assert lines(RULE, templates={"templates/timesale.yaml": template.encode()})[0] == said


def test_two_templates_of_one_name_are_a_mistake() -> None:
    files = TEMPLATES | {"templates/timesale.yml": TEMPLATE.encode()}
    assert lines(RULE, templates=files) == [
        "templates/timesale.yml:1:1: is a second template of one name, got `timesale`, rename it, "
        "`templates/timesale.yaml` has that name already"
    ]


def test_a_norwegian_template_is_norwegian() -> None:
    rules = rule_set(RULE, templates={"templates/timesale.yaml": b"no: {body: hei}\nyes-NO: {body: ja}\n"})
    assert list(rules.templates["timesale"].words) == ["no", "yes-NO"]


def test_free_data_that_other_places_have_is_told_at_the_rule() -> None:
    other = Place("other", PlaceKind.FENCE, data={"aisle": 3})
    files = {"templates/timesale.yaml": b"ja: {body: '{place.aisle}'}"}
    assert lines(RULE, templates=files, places=(*PLACES, other)) == [
        "rules/a.yaml:21:22: `actions[0].push.template` uses `{place.aisle}`, which no place of the rule has, "
        "did you mean `place.walk`?"
    ]
    assert (
        lines(
            rule_of("", trigger="{event: entered}")
            + "---\n"
            + RULE.replace("place: {id: shinjuku}", "place: {id: other}"),
            templates=files,
            places=(*PLACES, other),
        )
        == []
    )


def test_a_path_into_free_data_leads_as_far_as_that_of_a_place_does() -> None:
    other = Place("other", PlaceKind.FENCE, data={"walk": {"max": {"h": 1}}})
    places = (*PLACES, other)
    at = "rules/a.yaml:5:25: `actions[0].push.body` uses"
    for field, mend in (("floor.x", "floor"), ("walk.mni", "walk.min"), ("walk.max.h.x", "walk.max.h")):
        said = f"{at} `{{place.{field}}}`, which no place has, did you mean `place.{mend}`?"
        assert lines(rule_of(f'actions: [{{push: {{body: "{{place.{field}}}"}}}}]\n'), places=places) == [said]
    file = rule_of('actions: [{push: {body: "{place.data.walk.max.h}"}}]\n')
    (line,) = lines(file, places=places)
    assert line.startswith(f"{at} `{{place.data.walk.max.h}}`, which no place of the rule has")
    assert lines(file.replace(", place: {id: shinjuku}", ""), places=places) == []


def test_a_field_is_told_where_it_stands() -> None:
    file = rule_of("actions:\n  - push:\n      title: '{event.sku}'\n      body: x\n")
    (line,) = lines(file)
    assert line.startswith("rules/a.yaml:7:14: `actions[0].push.title` uses `{event.sku}`, but no trigger")


@pytest.mark.parametrize(
    ("since", "until"), [("2026-12-01T11:59Z", "2026-12-01"), ("2026-12-01T13:59", "2026-12-01T00:00Z")]
)
def test_a_lifetime_that_has_an_instant_in_some_zone_is_good(since: str, until: str) -> None:
    assert lines(rule_of(f'active: {{from: "{since}", until: "{until}"}}\n')) == []


def test_what_earlier_versions_let_pass_is_no_reason_not_to_go_on_with_it() -> None:
    file = rule_of(
        "schedule: {windows: [{to: '00:00'}]}\n"
        "active: {from: '2027-01-01T00:00Z', until: '2026-01-01'}\n"
        "actions: [{push: {template: timesale, collapse_key: '{place.floor.x}'}}]\n"
    )
    files = {"templates/timesale.yaml": b"en: {body: x}\nEN: {body: y}\n"}
    assert len(lines(file, templates=files)) == 4
    assert lines(file, templates=files, was_in_force=True) == []


def test_a_message_stays_on_one_line_whatever_the_file_holds() -> None:
    (line,) = lines(rule_of('"a\\nb\\e[31m": 1\n'))
    assert line.startswith("rules/a.yaml:6:1: `a b [31m` is not a known key")
    (line,) = lines(rule_of("x" * 5000 + ": 1\n"))
    assert len(line) < 600
    (line,) = lines(rule_of('priority: "a\\r\\u2028b"\n'))
    assert line == "rules/a.yaml:6:11: `priority` needs a whole number, got `a  b`"


def test_many_unknown_places_are_told_in_time() -> None:
    places = [Place(f"fence-{i}", PlaceKind.FENCE) for i in range(20_000)]
    file = "---\n".join(
        rule_of("", trigger=f"{{event: entered, place: {{id: gone-{i}}}}}").replace("id: r", f"id: r-{i}")
        for i in range(300)
    )
    found = lines(file, places=places)
    assert len(found) == 300
    assert all("is the id of no place" in line for line in found)


def test_free_data_that_only_some_places_of_a_tag_have_is_good() -> None:
    other = Place("plain", PlaceKind.FENCE, tags=frozenset({"station"}))
    file = rule_of(
        "actions: [{push: {body: '{place.floor} {place.walk.min}'}}]\n",
        trigger="{event: entered, place: {tag: station}}",
    )
    assert lines(file, places=(*PLACES, other)) == []


def test_times_are_what_the_author_meant_with_and_without_quotes() -> None:
    quoted = rule_set(RULE).rules[0]
    bare = rule_set(RULE.replace('"17:00"', "17:00").replace('"18:00"', "18:00").replace('"21:00"', "21:00")).rules[0]
    assert (bare.schedule, bare.quiet_hours, bare.triggers) == (quoted.schedule, quoted.quiet_hours, quoted.triggers)


def test_a_rule_set_comes_only_without_mistakes() -> None:
    assert read(RULE)[0] is not None
    found, mistakes = read(RULE.replace("priority: 0", "priority: zero"))
    assert found is None and len(mistakes) == 1


def test_an_empty_site_has_an_empty_rule_set() -> None:
    rules = rule_set()
    assert (rules.rules, rules.timers, rules.running) == ((), (), frozenset())
