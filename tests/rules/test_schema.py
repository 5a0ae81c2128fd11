"""The JSON Schemas: for editors, and in step with what the reader accepts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from rules.language import RULE as RULE_SHAPE
from rules.node import Node
from rules.reader import read_documents
from rules.schema import rules_schema, templates_schema
from rules.shapes import Desk
from tests.rules.scene import RULE, TEMPLATE, rule_of
from tests.rules.test_linter import CASES, _case

RULES = Draft202012Validator(rules_schema())
TEMPLATES = Draft202012Validator(templates_schema())

#: Mistakes that a schema cannot see: they need the other files, or compare two values, or look into a text.
_BEYOND = (
    "is the id of", "is a tag of", "is the group of", "names no template", "not a configured channel",
    "messages people", "is longer than events", "same time as", "a whole day after", "end of a day", "is less than",
    "is not after", "beside `is`", "a question", "beside other questions", "does not belong to the scope",
    "beside it", "`week` and `month` alone", "duplicate key", "`template`", "unknown field",
    "which no place", "no trigger of the rule", "lone brace", "doubled braces", "one thing that happens",
    "things that happen", "`dwells` alone", "can only be", "duration from", "a country such as",
    "an IANA time zone", "date such as", "not a type that an event", "a list, write `- `",
)  # fmt: skip


def document(text: str) -> Any:
    (node,), mistakes = read_documents(text, file="f")
    assert mistakes == []
    return node.plain()


def test_the_schemas_are_schemas() -> None:
    Draft202012Validator.check_schema(rules_schema())
    Draft202012Validator.check_schema(templates_schema())


def test_every_key_is_described() -> None:
    def keys(schema: Any) -> list[tuple[str, Any]]:
        if isinstance(schema, list):
            return [found for item in schema for found in keys(item)]
        if not isinstance(schema, dict):
            return []
        own = list(schema.get("properties", {}).items()) if schema.get("additionalProperties") is False else []
        return own + [found for value in schema.values() for found in keys(value)]

    found = keys(rules_schema()) + keys(templates_schema())
    assert len(found) > 80
    assert [name for name, schema in found if not schema.get("description")] == []


@pytest.mark.parametrize(
    "text",
    [
        RULE,
        rule_of(""),
        rule_of("id: x\n").replace("id: r\n", ""),
        rule_of("limits: {cooldown: none}\nmax_accuracy: none\n"),
        rule_of('schedule: {windows: [{to: "24:00"}], except: [{holidays: US-CA}]}\nactive: {until: 2026-12-31}\n'),
        rule_of("", trigger="{any: [{event: dwelled, for: 5m}, {event: p, where: {data.a.b: [1, x, true]}}]}"),
        rule_of("", trigger="{event: timer, at: 17:00}"),
        rule_of(
            "audience: {all: [{consent: ads}, {visits: {place: same, min: 2}}, {user: {in: [a]}}, {not: {any: "
            "[{attribute: a.b, exists: true}, {event_count: {type: p, within: 1d, max: 0}}]}}], not: {consent: stop}}\n"
        ),
        rule_of(
            "tests: [{given: {dwells: soho, for: 5m, at: 2026-11-25, accuracy: 5m, user: {a: [1]}}, then: none}]\n"
        ),
        rule_of("actions: [{push: {title: '', body: b, data: {a: 1, b: true, c: x}}}, {audit: {template: t}}]\n"),
    ],
)
def test_good_rules_are_valid(text: str) -> None:
    assert [e.message for e in RULES.iter_errors(document(text))] == []


@pytest.mark.parametrize("text", CASES, ids=lambda text: text.partition("\n")[0])
def test_what_the_reader_refuses_by_its_form_the_schema_refuses_too(text: str) -> None:
    file, said = _case(text)
    if all(any(beyond in line for beyond in _BEYOND) for line in said):
        return
    documents, _ = read_documents(file, file="f")
    assert any(not RULES.is_valid(node.plain()) for node in documents)


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        (TEMPLATE, True),
        ("no: {body: hei}", True),
        ("zh-Hant: {title: '', body: x}", True),
        ("{}", False),
        ("ja: {title: x}", False),
        ("ja: {body: ''}", False),
        ("j_a: {body: x}", False),
        ("ja: {body: x, titel: y}", False),
        ("[]", False),
    ],
)
def test_templates_are_valid_or_not(text: str, valid: bool) -> None:
    assert TEMPLATES.is_valid(document(text)) is valid


junk = st.one_of(
    st.sampled_from(["", "live", "5m", "50m", "17:00", "shinjuku", "none", "user", "place", "day", "sent", "x y"]),
    st.integers(-1, 3),
    # To a schema, 2.0 is a whole number; to YAML's authors it is none, and which one was meant hardly matters.
    st.floats(allow_nan=False, allow_infinity=False, width=16).filter(lambda x: not x.is_integer()),
    st.booleans(),
    st.none(),
    st.just([]),
    st.just({}),
    st.just(["x"]),
    st.just({"id": "shinjuku"}),
    st.just({"event": "entered"}),
    st.just({"all": [{"consent": "ads"}]}),
)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(path for key, child in below for path in _paths(child, (*at, key)))]


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    if isinstance(value, dict):
        return {k: _put(v, path[1:], new) if k == path[0] else v for k, v in value.items()}
    return [_put(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]


def _node(value: Any, name: str | int = "", parent: Node | None = None) -> Node:
    """The node that a value would be read as."""
    node = Node(None, text="", file="f", line=1, column=1)
    node.name, node.parent = name, parent
    if isinstance(value, dict):
        node.value = {k: _node(v, k, node) for k, v in value.items()}
    elif isinstance(value, list):
        node.value = [_node(v, i, node) for i, v in enumerate(value)]
    else:
        node.value = value
        node.text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return node


GOOD = document(RULE)
PATHS = [path for path in _paths(GOOD) if path]


@settings(max_examples=400)
@given(st.sampled_from(PATHS), junk)
def test_the_reader_and_the_schema_agree_on_any_mutation(path: tuple[Any, ...], new: Any) -> None:
    changed = _put(GOOD, path, new)
    desk = Desk()
    RULE_SHAPE.read(_node(changed), desk)
    formal = [str(m) for m in desk.mistakes if not any(beyond in str(m) for beyond in _BEYOND)]
    if len(formal) == len(desk.mistakes):
        assert RULES.is_valid(changed) is (not formal), formal
