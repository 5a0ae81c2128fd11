"""The lab itself: its reckoning is what one process decides from the same pings, and it sees each kind of mistake."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.lab_reckoning import compare, reckon
from tests.cluster.lab_world import Probe, World, make_probes, make_world, users_file, write_lab_site
from tests.live.process import nearcast
from tests.live.reckoning import h, jsonl

if TYPE_CHECKING:
    from collections.abc import Callable

NOW_MS = 1_795_593_600_000
Decided = dict[str, dict[str, Any]]


def probing(probe: Probe, steps: int) -> list[dict[str, Any]]:
    return [probe.next_ping(NOW_MS - 7_200_000 + 1_000 * n, 0.0) for n in range(steps)]


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[dict[str, Any]], Decided]:
    """A small world, its pings and the probes', and what a replay of them decides."""
    folder = tmp_path_factory.mktemp("lab")
    world = make_world(3, NOW_MS, devices=60, steps=160, fences=1_200)
    probes = make_probes(2, lambda device: len(device) % 2)
    pings = world.pings + [ping for probe in probes for ping in probing(probe, 9)]
    site = write_lab_site(folder / "site", world, sink="http://127.0.0.1:9/push")
    recording = folder / "pings.jsonl"
    recording.write_text("".join(json.dumps(ping) + "\n" for ping in pings))
    users = users_file(folder / "users.jsonl", [*world.users, *(probe.user for probe in probes)])
    out = folder / "decisions.jsonl"
    done = nearcast("replay", site, recording, "--sort", "--users", users, "--decisions", out, "--json")
    assert done.returncode == 0, done.stderr
    return world, pings, {decision["key"]: decision for decision in jsonl(out)}


def sent_keys(decided: Decided) -> set[str]:
    return {h(key, "0") for key, decision in decided.items() if decision["outcome"] == "send"}


def test_what_is_reckoned_is_what_one_process_decides(decided: tuple[World, list[dict[str, Any]], Decided]) -> None:
    world, pings, found = decided
    due = reckon(pings, world.fences)
    last = {ping["device"]: max(p["time"] for p in pings if p["device"] == ping["device"]) for ping in pings}
    upto = {key: d for key, d in found.items() if key in due or not _is_later(d, last)}
    assert len(due) > 400 and {d.rule for d in due.values()} == {"hello", "left", "scarce", "once"}
    assert compare(due, upto, sent_keys(upto)) == []
    told = {(d["rule"], d["reason"]) for d in upto.values()}
    assert told >= {("scarce", "cap"), ("once", "cooldown"), ("left", "audience"), ("hello", "sent")}


def _is_later(decision: dict[str, Any], last: dict[str, int]) -> bool:
    """Whether a decision is about a transition after its device's last fix: a timer's."""
    return datetime.fromisoformat(decision["occasion"]["time"]).timestamp() * 1000 > last[decision["device"]]


def without_one(found: Decided) -> Decided:
    return dict(list(found.items())[1:])


def with_a_stranger(found: Decided) -> Decided:
    return found | {"0" * 32: next(iter(found.values())) | {"outcome": "suppress"}}


def with_another_reason(found: Decided) -> Decided:
    key = next(k for k, d in found.items() if d["rule"] == "left")
    return found | {key: found[key] | {"reason": "consent"}}


def with_another_user(found: Decided) -> Decided:
    key = next(k for k, d in found.items() if d["rule"] == "left")
    return found | {key: found[key] | {"user": "u-other"}}


def with_a_cap_passed(found: Decided) -> Decided:
    key = next(k for k, d in found.items() if d["reason"] == "cap")
    return found | {key: found[key] | {"outcome": "send", "reason": "sent"}}


def with_a_cooldown_for_nothing(found: Decided) -> Decided:
    key = next(k for k, d in found.items() if (d["rule"], d["reason"]) == ("once", "sent"))
    return found | {key: found[key] | {"outcome": "suppress", "reason": "cooldown"}}


@pytest.mark.parametrize(
    ("spoil", "word"),
    [
        (without_one, "decisions missing"),
        (with_a_stranger, "decisions not due"),
        (with_another_reason, "decided otherwise"),
        (with_another_user, "decided otherwise"),
        (with_a_cap_passed, "limits passed"),
        (with_a_cooldown_for_nothing, "limits not reached"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_decision_that_is_wrong_is_seen(
    decided: tuple[World, list[dict[str, Any]], Decided], spoil: Callable[[Decided], Decided], word: str
) -> None:
    world, pings, found = decided
    due = reckon(pings, world.fences)
    spoiled = spoil({key: decision for key, decision in found.items() if key in due})
    wrong = compare(due, spoiled, sent_keys(spoiled))
    assert len(wrong) == 1 and word in wrong[0], wrong


def test_a_message_that_is_lost_or_nobody_decided_is_seen(
    decided: tuple[World, list[dict[str, Any]], Decided],
) -> None:
    world, pings, found = decided
    due = reckon(pings, world.fences)
    right = {key: decision for key, decision in found.items() if key in due}
    arrived = sent_keys(right)
    [lost] = compare(due, right, arrived - {min(arrived)})
    [odd] = compare(due, right, arrived | {"f" * 32})
    assert "1 messages missing" in lost and "1 messages not decided" in odd


def test_a_probe_goes_in_and_out_and_its_time_never_stands() -> None:
    probe = make_probes(3, lambda device: int(device[2:]) % 3)[2]
    pings = [probe.next_ping(now_ms, 1.5) for now_ms in (10, 10, 9, 30)]
    assert (probe.device, probe.user, probe.shard) == ("p-2", "u-p-2", 2)
    assert [p["time"] for p in pings] == [10, 11, 12, 30]
    assert [p["lat"] > 35.395 for p in pings] == [True, False, True, False]
    assert probe.posted_s == {10: 1.5, 12: 1.5}
