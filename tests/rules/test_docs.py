"""docs/rules.md: its table of keys is that of the reader, and what it shows is read and tested."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rules.facts import Reason
from rules.schema import rules_schema, templates_schema
from rules.testing import run_tests
from rules.texts import FIELDS
from tests.rules.scene import rule_of, rule_set

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")
_HEAD = "| key | value | meaning |\n|---|---|---|\n"
#: Where the table does not follow a shape into itself.
_SHORT = {"#/$defs/clause": "a clause", "#/$defs/place": "a place", "#/$defs/trigger": "a trigger"}


def _value(schema: dict[str, Any]) -> str:
    """What may stand under a key, in a few words."""
    if "$ref" in schema:
        return _SHORT[schema["$ref"]]
    if "enum" in schema:
        return " ".join(f"`{word}`" for word in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return ", or ".join(dict.fromkeys(_value(case) for case in schema["anyOf"]))
    if "examples" in schema:
        return "such as " + " ".join(f"`{example}`" for example in schema["examples"])
    if "oneOf" in schema:
        return "one of several"
    kind = schema.get("type")
    if kind == "array":
        return f"list of: {_value(schema['items'])}"
    if kind == "object":
        return "keys and values"
    if kind == ["string", "integer"]:
        return "text"
    names = {"integer": "whole number", "number": "number", "boolean": "`true` `false`", None: "anything"}
    return "text, number, `true` `false`" if isinstance(kind, list) else names[kind]


def _rows(schema: dict[str, Any], path: str) -> list[tuple[str, str, str]]:
    """(path, value, meaning) of every key, in order; lists are walked through, shapes within themselves are not."""
    rows: list[tuple[str, str, str]] = []
    cases = [*schema.get("oneOf", ()), *schema.get("anyOf", ())]
    for case in cases:
        if case.get("type") != "array" or case["items"] not in cases:
            rows += _rows(case, path)
    if schema.get("type") == "array":
        rows += _rows(schema["items"], f"{path}[]")
    if isinstance(schema.get("additionalProperties"), dict):
        rows += _rows(schema["additionalProperties"], f"{path}.NAME".lstrip("."))
    for name, child in schema.get("properties", {}).items():
        if "description" not in child:  # `id`, `consent`, ... of a test's user, among free keys
            continue
        below = f"{path}.{name}" if path else name
        rows += [(below, _value(child), child["description"]), *_rows(child, below)]
    return rows


def table() -> str:
    """The table of keys as it must stand on the page."""
    schema = rules_schema()
    rows = _rows(schema, "")
    rows += _rows(schema["$defs"]["trigger"], "trigger") + _rows(schema["$defs"]["place"], "place")
    rows += _rows(schema["$defs"]["clause"], "clause")
    rows += [(path.replace("NAME", "LANGUAGE"), value, doc) for path, value, doc in _rows(templates_schema(), "")]
    merged: dict[str, tuple[list[str], list[str]]] = {}
    for path, value, meaning in rows:
        values, meanings = merged.setdefault(path, ([], []))
        if value not in values:
            values.append(value)
        if meaning not in meanings:
            meanings.append(meaning)
    return _HEAD + "".join(
        f"| `{path}` | {'; '.join(values)} | {'; '.join(meanings)} |\n" for path, (values, meanings) in merged.items()
    )


def test_the_table_of_keys_is_that_of_the_reader() -> None:
    expected = table()
    assert expected in PAGE, f"put this under `## Every key`:\n{expected}"


def test_every_reason_and_every_field_is_told() -> None:
    for reason in Reason:
        assert f"| `{reason.value}` |" in PAGE
    for name in FIELDS:
        assert f"`{{{name.replace('.data.X', '.X')}}}`" in PAGE


EXAMPLES = re.findall(r"^```yaml other\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_there_is_an_example_for_every_key_of_a_rule() -> None:
    shown = "\n".join(re.findall(r"^```yaml[^\n]*\n(.*?)^```$", PAGE, flags=re.MULTILINE | re.DOTALL))
    names = {
        path.rpartition(".")[2].removesuffix("[]") for path in re.findall(r"^\| `([^`]+)` \|", table(), flags=re.M)
    }
    assert sorted(n for n in names if not re.search(rf"(^|[{{ ,]){re.escape(n)}:", shown, flags=re.M)) == []


@pytest.mark.parametrize("part", [part for text in EXAMPLES for part in text.split("---\n")])
def test_a_part_of_a_rule_that_is_shown_is_read(part: str) -> None:
    rules = rule_set(rule_of(part))
    assert run_tests(rules) == []
