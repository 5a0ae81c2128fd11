"""The clauses of a rule as its author wrote them, in the order in which they are judged, for `explain`.

Owns finding the version of a rule under which a decision was made, and what can be said of each clause afterwards.
Must not know how it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from engine.site_draft import rules_alone
from rules.facts import Reason
from rules.reader import read_documents

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from rules.model import Rule
    from rules.node import Node

#: The stages of a decision, in their order, and the keys of a rule that belong to each.
_STAGES: tuple[tuple[frozenset[Reason], tuple[str, ...]], ...] = (
    (frozenset({Reason.STALE}), ("max_event_age",)),
    (frozenset({Reason.LOW_ACCURACY}), ("max_accuracy",)),
    (frozenset({Reason.MOCKED}), ("mocked",)),
    (frozenset({Reason.WINDOW}), ("active", "schedule")),
    (frozenset({Reason.AUDIENCE, Reason.CONSENT, Reason.UNKNOWN}), ("audience",)),
    (frozenset({Reason.COOLDOWN, Reason.CAP}), ("limits",)),
    (frozenset({Reason.QUIET_HOURS}), ("quiet_hours",)),
    (frozenset({Reason.NOT_TEST_USER}), ("state",)),
)
#: What these say when a rule does not.
_UNSAID = {"max_event_age": "15m", "mocked": "suppress"}
_COOLDOWN = "{per: user-place, of: 1h}, at entered, dwelled and crossed"


class Mark(Enum):
    """What a decision says of one clause."""

    HELD = "held"
    FAILED = "failed"
    #: Beside the one that failed: the decision does not tell.
    BESIDE = "beside"
    #: A stage that was not reached.
    NOT_ASKED = "not asked"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause: its path, its text, and what became of it."""

    path: str
    text: str
    mark: Mark


class RuleBook:
    """The rules by (id, version), from several versions of a site; the newest are looked at first, as far as needed."""

    def __init__(self, sites: Iterable[Mapping[str, bytes]]) -> None:
        self._sites = iter(sites)
        self._nodes: dict[tuple[str, str], Node] = {}
        self.newest: tuple[str, ...] = ()
        self._first = True

    def ids(self) -> tuple[str, ...]:
        """The ids of the rules in the newest version of the site."""
        if self._first:
            self._read_more()
        return self.newest

    def clauses(self, decision: Mapping[str, Any]) -> list[Clause]:
        """The clauses of a decision's rule and what became of them; none when that version is not kept any more."""
        key = decision["rule"], decision["rule_version"]
        while key not in self._nodes and self._read_more():
            pass
        node = self._nodes.get(key)
        return [] if node is None else list(_marked(node, Reason(decision["reason"]), decision["clause"]))

    def _read_more(self) -> bool:
        files = next(self._sites, None)
        if files is None:
            return False
        rules = rules_alone(files)
        for rule in rules:
            node = _node_of(rule, files)
            if node is not None:
                self._nodes.setdefault((rule.id, rule.version), node)
        if self._first:
            self.newest, self._first = tuple(rule.id for rule in rules), False
        return True


def _node_of(rule: Rule, files: Mapping[str, bytes]) -> Node | None:
    documents, _ = read_documents(files[rule.file], file=rule.file)
    return next((node for node in documents if node.line == rule.line), None)


def _marked(rule: Node, reason: Reason, failed: str | None) -> Iterator[Clause]:
    before = True
    for reasons, keys in _STAGES:
        here = reason in reasons
        before = before and not here
        for key in keys:
            for path, text in _parts(rule, key):
                if here and failed is not None and (failed == path or failed.startswith((f"{path}.", f"{path}["))):
                    yield Clause(failed, text, Mark.FAILED)
                elif here:
                    yield Clause(path, text, Mark.BESIDE)
                elif before:
                    yield Clause(path, text, Mark.HELD)
                else:
                    yield Clause(path, text, Mark.NOT_ASKED)


def _parts(rule: Node, key: str) -> Iterator[tuple[str, str]]:
    """The clauses under a key: each condition that all must hold, and each cap, for itself."""
    node = rule.get(key)
    if node is None:
        if key in _UNSAID:
            yield key, _UNSAID[key]
    elif key == "state":
        yield from [(key, "test")] if node.value == "test" else []
    elif key not in ("audience", "limits"):
        yield key, flow(node.plain())
    else:
        for name, child in node.value.items():
            # no decision tells which parts of an `any` held
            for part in child.value if child.is_list and name != "any" else [child]:
                yield part.path, flow(part.plain())
    if key == "limits" and (node is None or node.get("cooldown") is None):
        yield "limits.cooldown", _COOLDOWN


def flow(value: Any) -> str:
    """A value on one line, as an author would write it.

    >>> flow({"attribute": "tier", "in": ["gold", 2], "min": None})
    '{attribute: tier, in: [gold, 2], min: null}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(item) for item in value) + "]"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
