"""Broken rule files: whatever they hold, the reader answers with mistakes that have a place, or with a rule set."""

from __future__ import annotations

import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rules.language import RULE_KEYS
from rules.ruleset import read_rules
from rules.testing import run_tests
from tests.rules.scene import RULE, TEMPLATE, read, rule_of

_LINES = RULE.split("\n")
_WORDS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "- ",
    "\t",
    '"',
    "'",
    "null",
    "true",
    "5",
    "5m",
    "none",
    "user",
    "&a",
    "*a",
    "!x",
    "|",
    "#",
    "\n",
    "é",
    "\ud7ff",
    "\x00",
]

cut = st.tuples(st.just("cut"), st.integers(0, len(RULE)), st.integers(0, 40), st.just(""))
put = st.tuples(st.just("put"), st.integers(0, len(RULE)), st.just(0), st.sampled_from(_WORDS) | st.text(max_size=4))
swap = st.tuples(st.just("swap"), st.integers(0, len(_LINES)), st.integers(0, len(_LINES)), st.just(""))


def mutate(text: str, changes: list[tuple[str, int, int, str]]) -> str:
    for kind, at, count, new in changes:
        if kind == "cut":
            text = text[:at] + text[at + count :]
        elif kind == "put":
            text = text[:at] + new + text[at:]
        else:
            lines = text.split("\n")
            a, b = at % len(lines), count % len(lines)
            lines[a], lines[b] = lines[b], lines[a]
            text = "\n".join(lines)
    return text


@settings(max_examples=500)
@given(st.lists(cut | put | swap, min_size=1, max_size=4))
@example([("put", 0, 0, "%YAML 1.1\n---\n")])
def test_a_mutated_rule_file_gives_mistakes_or_a_rule_set_and_never_both(
    changes: list[tuple[str, int, int, str]],
) -> None:
    text = mutate(RULE, changes)
    rules, mistakes = read(text.encode("utf-8", "replace").decode())
    assert (rules is None) == bool(mistakes)
    size = text.count("\n") + 2
    for mistake in mistakes:
        assert 1 <= mistake.line <= size + text.count("\r") + text.count("\x85") and mistake.column >= 1
        line = str(mistake)
        assert "\n" not in line or mistake.got is not None
    if rules is not None:
        for failed in run_tests(rules):
            assert str(failed)


@settings(max_examples=150)
@given(st.lists(cut | put | swap, min_size=1, max_size=4))
def test_a_mutated_template_gives_mistakes_or_a_rule_set_and_never_both(
    changes: list[tuple[str, int, int, str]],
) -> None:
    text = mutate(TEMPLATE, changes)
    rules, mistakes = read(RULE, templates={"templates/timesale.yaml": text.encode("utf-8", "replace")})
    assert (rules is None) == bool(mistakes)
    if rules is not None:
        assert run_tests(rules) == []


@given(st.binary(max_size=200))
def test_bytes_that_are_no_rule_are_mistakes(data: bytes) -> None:
    rules, mistakes = read_rules(
        {"rules/a.yaml": data},
        {"templates/a.yaml": data},
        places=(),
        channels=(),
        timezone="UTC",
        test_users=(),
        keep_ms={},
    )
    assert (rules is None) == bool(mistakes)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=6),
        lambda b: st.lists(b, max_size=4),
        max_leaves=10,
    )
)
def test_any_value_under_any_key_is_read_or_refused(value: object) -> None:
    for key in RULE_KEYS:
        rules, mistakes = read(rule_of(f"{key}: {json.dumps(value)}\n"))
        assert (rules is None) == bool(mistakes)
