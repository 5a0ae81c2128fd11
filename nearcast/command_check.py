"""`nearcast check`: lint a whole site and run its rules' own tests.

Owns what is printed, for people and as JSON, and the warnings: what is no mistake, yet perhaps not meant. The
mistakes themselves are found by the readers of the files. Needs no store, builds no index.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console

from engine.settings import SETTINGS_FILE, WebhookSettings
from engine.settings_file import read_settings, resolve_env
from engine.site_draft import read_draft
from nearcast.fault import ExitCode
from nearcast.file_channels import misplaced
from nearcast.folder import read_folder
from rules.audience import asks_own_place, withheld
from rules.check_texts import fields_of
from rules.facts import Kind
from rules.place import PlaceKind
from rules.testing import run_tests
from rules.units import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from engine.settings import Settings
    from engine.site_draft import Draft
    from geo.mistake import Mistake
    from rules.model import Rule
    from rules.place import Place
    from rules.texts import Template


@dataclass(slots=True)
class Findings:
    """What a check found. `failed` are the rules' own tests that did not come out; `draft` is None with mistakes."""

    draft: Draft | None
    mistakes: list[Mistake]
    failed: list[Mistake] = field(default_factory=list)
    tests: int = 0
    warnings: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """True if nothing has to be mended."""
        return not self.mistakes and not self.failed


def check_site(site: Path, *, as_json: bool) -> ExitCode:
    """Check the site in a folder and print what was found. Raises `FolderError` when there is no such folder."""
    strays: list[str] = []
    findings = check_files(read_folder(site, warn=strays.append), os.environ, site)
    findings.warnings[:0] = strays
    if as_json:
        Console(soft_wrap=True, highlight=False, markup=False).out(orjson.dumps(_as_json(findings)).decode())
    else:
        _print(findings)
    return ExitCode.GOOD if findings.good else ExitCode.INPUT


def check_files(files: Mapping[str, bytes], environ: Mapping[str, str], site: Path) -> Findings:
    """Check a site by its files. Variables of the environment that are missing here are only warned of."""
    draft, mistakes = read_draft(files)
    settings, _ = read_settings(files.get(SETTINGS_FILE, b""))
    filled, missing = resolve_env(settings, environ)
    findings = Findings(draft, sorted([*mistakes, *misplaced(filled, site)]))
    findings.warnings.extend(map(str, missing))
    if draft is not None:
        findings.failed = run_tests(draft.rules)
        findings.tests = sum(len(rule.tests) for rule in draft.rules.rules)
        findings.warnings.extend(_site_warnings(draft, settings))
    return findings


def _site_warnings(draft: Draft, settings: Settings) -> Iterator[str]:
    """What is allowed, and yet perhaps not meant."""
    if not draft.rules.rules:
        yield "the site has no rules, so nothing will ever be sent"
    if not settings.channels and any(rule.acts for rule in draft.rules.rules):
        yield f"{SETTINGS_FILE}: no channel is configured, so messages are only printed"
    for channel in settings.channels.values():
        if isinstance(channel, WebhookSettings) and not channel.secrets:
            yield f"{SETTINGS_FILE}: channel `{channel.name}` has no `secret`, so what it posts is not signed"
    used: set[str] = set()
    for rule in sorted(draft.rules.rules, key=lambda rule: (rule.file, rule.line)):
        used.update(action.template for action in rule.actions if action.template is not None)
        texts = (
            *_rule_warnings(rule, settings),
            *_placeless_warnings(rule, draft.rules.templates),
            *_crossed_zones(rule, draft.places.values()),
        )
        yield from (f"{rule.file}:{rule.line}: {text}" for text in texts)
    for name in sorted(draft.rules.templates.keys() - used):
        yield f"templates/{name}.yaml: no rule uses this template"


def _rule_warnings(rule: Rule, settings: Settings) -> Iterator[str]:
    if rule.state == "draft":
        yield f"rule `{rule.id}` is in draft: it is checked, and decides nothing until `state: live`"
    if rule.test and not settings.test_users:
        yield f"rule `{rule.id}` is in test, and no `test_users` are set: nobody gets its messages"
    if rule.state == "live" and not rule.tests:
        yield f"rule `{rule.id}` is live and has no `tests` of its own"
    if rule.quiet_hours is not None and rule.quiet_hours.to_ms - rule.quiet_hours.from_ms == DAY_MS:
        yield f"rule `{rule.id}` is quiet all day: nobody is ever messaged"
    for purpose in sorted(set(withheld(rule.audience))) if rule.audience is not None else ():
        why = "it is asked as if it were given, keep who opted out as an attribute"
        yield f"rule `{rule.id}` reaches nobody by the consent `{purpose}` in a `not`: {why}"


def _placeless_warnings(rule: Rule, templates: Mapping[str, Template]) -> Iterator[str]:
    """What a rule asks of a place or a fix, though no trigger of it has one."""
    if any(trigger.located for trigger in rule.triggers):
        return
    for key in _of_a_fix(rule):
        why = "no fix belongs to an event, or to a timer without `inside`"
        yield f"rule `{rule.id}` has `{key}` for nothing: {why}"
    none = "its triggers, events or timers without `inside`, have no place"
    if rule.audience is not None and asks_own_place(rule.audience):
        yield f"rule `{rule.id}` reaches nobody by `place: same`: {none}"
    used = {str(text) for action in rule.actions for _, text in fields_of(action, templates) if text.root == "place"}
    for text in sorted(used):
        yield f"rule `{rule.id}` uses `{{{text}}}`, which is always empty: {none}"


def _crossed_zones(rule: Rule, places: Iterable[Place]) -> Iterator[str]:
    """Triggers for `crossed` that look at beacon zones alone: there is no way through one."""
    for trigger in rule.triggers:
        if trigger.kind is Kind.CROSSED and trigger.place is not None:
            kinds = {place.kind for place in places if trigger.place.covers(place)}
            if kinds == {PlaceKind.ZONE}:
                yield f"rule `{rule.id}` waits in vain for `crossed`: its places are beacon zones, fences are crossed"


def _of_a_fix(rule: Rule) -> Iterator[str]:
    """The keys that judge a fix and differ from what they are by default."""
    if rule.max_accuracy_m is not None:
        yield "max_accuracy"
    if rule.mocked == "allow":
        yield "mocked"


def _print(findings: Findings) -> None:
    out = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    err = Console(soft_wrap=True, highlight=False, markup=False, emoji=False, stderr=True)
    for mistake in [*findings.mistakes, *findings.failed]:
        out.print(str(mistake), style="red")
    for warning in findings.warnings:
        err.print(f"warning: {warning}", style="yellow")
    if findings.good:
        out.print(_summary(findings), style="green")
        return
    parts = [_count(len(findings.mistakes), "mistake")] if findings.mistakes else []
    if findings.failed:
        parts.append(f"{len(findings.failed)} of {_count(findings.tests, 'test')} failed")
    elif findings.draft is None:
        parts.append("the rules' own tests run when these are mended")
    err.print(", ".join(parts), style="bold red")


def _summary(findings: Findings) -> str:
    draft = findings.draft
    assert draft is not None
    states = Counter(rule.state for rule in draft.rules.rules)
    by_state = ", ".join(f"{states[state]} {state}" for state in ("live", "test", "draft", "paused") if states[state])
    rules = _count(len(draft.rules.rules), "rule") + (f" ({by_state})" if by_state else "")
    parts = [
        _count(len(draft.fences), "fence"),
        _count(len(draft.zones), "beacon zone"),
        rules,
        _count(len(draft.rules.templates), "template"),
        f"{_count(findings.tests, 'test')} passed",
    ]
    return f"good: {', '.join(parts)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _as_json(findings: Findings) -> dict[str, Any]:
    draft = findings.draft
    site = None
    if draft is not None:
        site = {
            "version": draft.version,
            "fences": len(draft.fences),
            "zones": len(draft.zones),
            "rules": dict(sorted(Counter(rule.state for rule in draft.rules.rules).items())),
            "templates": len(draft.rules.templates),
        }
    return {
        "good": findings.good,
        "mistakes": [_mistake(mistake) for mistake in findings.mistakes],
        "tests": {
            "ran": draft is not None,
            "passed": findings.tests - len(findings.failed),
            "failed": len(findings.failed),
            "failures": [_mistake(failure) for failure in findings.failed],
        },
        "warnings": findings.warnings,
        "site": site,
    }


def _mistake(mistake: Mistake) -> dict[str, Any]:
    return {
        "file": mistake.file,
        "line": mistake.line,
        "column": mistake.column,
        "what": mistake.what,
        "got": mistake.got,
        "mend": mistake.mend,
        "message": str(mistake),
    }
