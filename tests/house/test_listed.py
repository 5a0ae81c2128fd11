"""What can be called, set or watched is told: every command, option, setting, detection key, reason and metric."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer.main

from connectors.metrics_table import ROUTES, TABLE
from engine.settings_shapes import settings_schema
from nearcast.cli import app
from rules.facts import Reason
from rules.lang_actions import ACTION_KEYS
from rules.lang_tests import GIVEN_KEYS
from rules.language import RULE_KEYS
from rules.texts import FIELDS
from tests.house.pages import blocks, documented, pages
from tests.house.tree import text_of

GROUP: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = dict(GROUP.commands)
COMMANDS_PAGE = "docs/commands.md"
SETTINGS_PAGE = "docs/operations.md"
HTTP_PAGE = "docs/http.md"
RULES_PAGE = "docs/rules.md"


def _options(command: Any) -> list[str]:
    return [max(p.opts, key=len) for p in command.params if p.param_type_name == "option" and "--help" not in p.opts]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_and_its_options_are_told(command: str) -> None:
    sections = re.split(r"^## ", text_of(COMMANDS_PAGE), flags=re.MULTILINE)
    section = next((s for s in sections if s.startswith(f"`nearcast {command}")), None)
    assert section, f"{COMMANDS_PAGE} has no heading `nearcast {command}`"
    missing = [option for option in _options(COMMANDS[command]) if f"`{option}" not in section]
    assert not missing, f"{COMMANDS_PAGE}, {command}: {missing} is not told"


def test_the_options_before_a_command_are_told() -> None:
    assert not [option for option in _options(GROUP) if f"`{option}`" not in text_of(COMMANDS_PAGE)]


def test_every_command_that_a_page_calls_exists_with_its_options() -> None:
    wrong = []
    shell = [(b.where, b.text) for b in blocks() if b.info in ("sh", "bash", "dockerfile", "ini")]
    quoted = [(page, text) for page in pages() for text in re.findall(r"`(nearcast [^`]+)`", text_of(page))]
    called = [
        (where, found)
        for where, text in (*shell, *quoted)
        for found in re.findall(
            r"(?:^|[ /=])nearcast ([a-z]+)([^\n|;&#]*)", text.replace("\\\n", " "), flags=re.MULTILINE
        )
    ]
    for where, (command, rest) in called:
        known = _options(COMMANDS[command]) if command in COMMANDS else None
        if known is None:
            wrong.append(f"{where}: there is no command {command}")
        else:
            wrong += [
                f"{where}: {command} has no {o}" for o in re.findall(r"--[a-z-]+", rest) if o not in (*known, "--help")
            ]
    assert not wrong, "\n".join(wrong)


def _keys(schema: dict[str, Any], path: str = "") -> set[str]:
    """Every key that the schema of the settings knows, by its path; `channels.*.url` for any name."""
    found: set[str] = set()
    for case in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found |= _keys(case, path)
    for name, value in schema.get("properties", {}).items():
        found |= {path + name} | _keys(value, f"{path}{name}.")
    for value in schema.get("patternProperties", {}).values():
        found |= _keys(value, f"{path}*.")
    extra = schema.get("additionalProperties")
    return found | (_keys(extra, f"{path}*.") if isinstance(extra, dict) else set())


def test_every_setting_is_told() -> None:
    page = text_of(SETTINGS_PAGE)
    keys = _keys(settings_schema())
    assert {"listen", "ping.max_age", "detection.silence"} <= keys
    missing = sorted(key for key in keys if f"| `{key}`" not in page)
    assert not missing, f"{SETTINGS_PAGE} has no row that begins with {missing}"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.startswith("/")])
def test_every_route_is_told(route: str) -> None:
    assert re.search(rf"`[A-Z]+ {re.escape(route)}[`?]", text_of(HTTP_PAGE))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_told(reason: Reason) -> None:
    assert f"`{reason}`" in documented()


def test_every_metric_is_told() -> None:
    declared = _metrics()
    assert "nearcast_pings_received_total" in declared
    page = documented()
    missing = sorted(name for name in declared if name not in page)
    assert not missing, f"the pages do not name {missing}"


def test_every_metric_that_a_page_names_exists() -> None:
    named = set(re.findall(r"`(nearcast_[a-z_]+)(?:\{[a-z_,]+\})?`", documented()))
    known = _metrics()
    stems = {name + end for name in known for end in ("", "_bucket", "_count", "_sum")}
    assert not named - stems


def _metrics() -> set[str]:
    """The names of all metrics."""
    return {row.name for row in TABLE}


@pytest.mark.parametrize("key", [*RULE_KEYS, *ACTION_KEYS, *GIVEN_KEYS])
def test_every_key_of_a_rule_is_told(key: str) -> None:
    assert re.search(rf"(^|[`{{, ]){key}\b", text_of(RULES_PAGE), flags=re.MULTILINE)


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_of_a_text_is_told(field: str) -> None:
    assert any("{" + name + "}" in text_of(RULES_PAGE) for name in (field, field.replace(".data.X", ".X")))
