"""Replay: how rows are gathered into steps changes nothing, and memory does not grow with the recording."""

from __future__ import annotations

import json
import random
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from nearcast import recording_jsonl, recording_sort
from nearcast.folder import read_folder
from nearcast.recording import RecordedPings, read_recordings
from nearcast.recover import compiled
from nearcast.replay import SPAN_MS, Folding, replay_files
from nearcast.replay_options import ReplayOptions
from nearcast.replay_report import Tally
from tests.bar import Bar
from tests.nearcast.command import FILES, Came, make_site
from tests.world import TICK

if TYPE_CHECKING:
    from pathlib import Path

    from engine.site import Site
    from engine.step import Effects
    from engine.wire import Happened, UserChanged
    from nearcast.recording import Skipped
    from tests.nearcast.command import Command

    Read = list[RecordedPings | Happened | UserChanged | Skipped]

T0 = 1_795_593_600_000
SHOP, AWAY = (35.69, 139.7), (35.70, 139.7)
RULES = (
    """id: hello
state: live
max_event_age: 1h
trigger: {any: [{event: entered, place: {id: shop}}, {event: exited, place: {id: shop}}]}
audience: {all: [{consent: marketing}]}
limits: {cooldown: {per: user, of: 2m}}
actions: [{push: {template: hello}}]
---
id: stayed
state: live
max_event_age: 1h
trigger: {event: dwelled, for: 90s, place: {id: shop}}
audience: {all: [{consent: marketing}]}
actions: [{push: {template: hello}}]
---"""
    + TICK
)


def site_with(folder: Path, rules: str = RULES) -> Site:
    return compiled(read_folder(make_site(folder, rules__hello=rules)))


def walk(devices: int, pings: int, rng: random.Random, *, late: bool) -> str:
    """Pings of people who come and go, seldom at first and often at the end; some come late when asked for."""
    lines, time_ms = [], T0
    for n in range(pings):
        time_ms += rng.choice((0, 400, 3_000, 20_000, 45_000)) if n < pings // 2 else rng.choice((0, 5, 40))
        device = rng.randrange(devices)
        lat, lng = SHOP if (n // (pings // 8) + device) % 2 else AWAY
        sent = {"device": f"d-{device}", "time": time_ms, "lat": lat, "lng": lng, "accuracy": 5}
        if late and rng.random() < 0.3:
            sent |= {"time": time_ms - rng.randrange(90_000), "received": time_ms}
        lines.append(json.dumps(sent) + "\n")
    return "".join(lines)


def ping(at_ms: int, **more: object) -> str:
    """A ping of one device at the shop, so long after T0."""
    sent = {"device": "d", "time": T0 + at_ms, "lat": SHOP[0], "lng": SHOP[1], "accuracy": 5, **more}
    return json.dumps(sent) + "\n"


class Told:
    """What a replay comes to: transitions, decisions, and the size of each step."""

    def __init__(self) -> None:
        self.transitions: list[tuple[Any, ...]] = []
        self.decisions: list[tuple[Any, ...]] = []
        self.times: dict[str, int] = {}
        self.steps: list[int] = []


class Listening(Tally):
    """A tally that keeps all it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told = Told()

    def effects(self, effects: Effects) -> None:
        super().effects(effects)
        told = self.told
        told.transitions += [(t.device, t.time_ms, t.kind.value, t.id, t.user, t.cause) for t in effects.transitions]
        told.decisions += [(d.key, d.rule, d.user, d.outcome.value, d.reason.value) for d in effects.decisions]
        told.times |= {d.key: d.time_ms for d in effects.decisions}
        told.steps += [int(counted.accepted.size) for counted in effects.counted]


def folded(site: Site, recording: Path) -> Told:
    folding = Folding(site, Listening(), assume_consent=True)
    for item in read_recordings((recording,)):
        assert isinstance(item, RecordedPings)
        folding.pings(item)
    folding.end()
    assert isinstance(folding.tally, Listening)
    return folding.tally.told


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_how_rows_are_gathered_into_steps_changes_nothing(
    seed: int, late: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = site_with(tmp_path / "site")
    recording = tmp_path / "a.jsonl"
    recording.write_text(walk(5, 600, random.Random(seed), late=late))
    gathered = folded(site, recording)
    monkeypatch.setattr(Folding, "_until_ms", lambda self, first_ms: first_ms + 1)
    alone = folded(site, recording)
    assert sorted(gathered.transitions) == sorted(alone.transitions)
    assert sorted(gathered.decisions) == sorted(alone.decisions)
    assert {kind for _, _, kind, *_ in alone.transitions} == {"entered", "dwelled", "exited"}
    assert {rule for _, rule, *_ in alone.decisions} == {"hello", "stayed", "tick"}
    # a timer of somebody who sends no more is told when the next step begins, at most a second after it is due
    assert all(abs(gathered.times[key] - at_ms) <= SPAN_MS for key, at_ms in alone.times.items())
    assert sum(gathered.steps) == sum(alone.steps)
    assert len(gathered.steps) < len(alone.steps)


def test_a_step_spans_as_much_as_no_timer_forbids(tmp_path: Path) -> None:
    site = site_with(tmp_path / "site")
    recording = tmp_path / "a.jsonl"
    away = [{"device": "d", "time": T0 + n * 1_000, "lat": 1.0, "lng": 2.0} for n in range(3_000)]
    recording.write_text("".join(json.dumps(line) + "\n" for line in away))
    steps = folded(site, recording).steps
    assert sum(steps) == 3_000
    assert max(steps) == 31, "the shortest timer, `exit_after`, and a second"
    assert len(steps) < 110


def test_over_a_gap_each_timer_rings_at_its_own_instant(tmp_path: Path) -> None:
    site = site_with(tmp_path / "site", RULES.replace("max_event_age: 1h", "max_event_age: 1m"))
    recording = tmp_path / "a.jsonl"
    recording.write_text(ping(0) + ping(540_000))
    told = folded(site, recording)
    decided = {rule: (told.times[key] - T0, reason) for key, rule, _, _, reason in told.decisions}
    assert decided == {"hello": (0, "sent"), "stayed": (90_000, "sent"), "tick": (300_000, "sent")}


def test_a_user_that_cannot_be_read_is_named_as_a_line_of_a_recording_is(nearcast: Command, tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    recording, users = tmp_path / "a.jsonl", tmp_path / "users.jsonl"
    recording.write_text(ping(0, user="u"))
    good = {"id": "u", "attributes": {"tier": "gold", "age": 30}, "consent": {"marketing": True}}
    bad = ["garbage", '{"id":5}', '{"id":"a","consent":{"marketing":"yes"}}', "[1]", '{"id":"b","timezone":"Mars"}']
    users.write_text("\n".join([*bad, json.dumps(good)]) + "\n")
    named = nearcast("replay", site, recording, "--users", users, "--json")
    assert [line.partition(": ")[0] for line in named.err.splitlines()] == [f"{users}:{n}" for n in range(1, 6)]
    assert (named.code, json.loads(named.out)["decisions"][0]["reason"]) == (0, "sent")
    assert nearcast("replay", site, users, recording, "--json") == named


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("live", "no rule had an occasion: do its places and kinds of transition come up in this recording?"),
        ("draft", "no rule of the site is in `state: live` or `test`, so none decides anything"),
        ("paused", "no rule of the site is in `state: live` or `test`, so none decides anything"),
    ],
)
def test_a_replay_without_decisions_says_what_may_be_missing(
    nearcast: Command, tmp_path: Path, state: str, told: str
) -> None:
    rule = FILES["rules/hello.yaml"].replace("state: live", f"state: {state}")
    pings = tmp_path / "pings.jsonl"
    pings.write_text(json.dumps({"device": "d", "time": T0, "lat": AWAY[0], "lng": AWAY[1], "accuracy": 5}) + "\n")
    came = nearcast("replay", make_site(tmp_path / "site", rules__hello=rule), pings)
    assert came.out.splitlines()[1:] == [told]


def test_a_recording_of_no_use_ends_a_replay_with_1_after_its_lines_are_named(
    nearcast: Command, tmp_path: Path
) -> None:
    site = make_site(tmp_path / "site")
    good, bad = tmp_path / "good.jsonl", tmp_path / "bad.csv"
    good.write_text(ping(0))
    bad.write_text("device,time,lat,lng\nd,1\n")
    came = nearcast("replay", site, good, bad, "--json")
    named = f"{bad}:2: broken: 2 cells under a header of 4"
    assert came == Came(1, "", f"{named}\n`{bad}`: nothing that stands in it can be used\n")
    assert nearcast("replay", site, good, "--users", bad).code == 1


def test_pings_that_are_refused_for_their_time_are_told_with_the_first_and_a_mend(
    nearcast: Command, tmp_path: Path
) -> None:
    site, recording, hour_ms = make_site(tmp_path / "site"), tmp_path / "a.jsonl", 3_600_000
    late = ping(-30 * hour_ms)
    recording.write_text("\n" + ping(0) + late + late + ping(9 * hour_ms, received=T0 + 1))
    behind = f"{recording}:3: too_old: `time` is more than 1d behind the recording's clock"
    assert nearcast("replay", site, recording).err.splitlines() == [
        f"1 ping refused: {recording}:5: in_future: `time` is more than 1m ahead of the recording's clock, "
        "is the device's clock right?",
        f"2 pings refused, the first: {behind}, `--sort` works everything in order of time",
    ]
    recording.write_text("\n" + ping(0) + ping(-30 * hour_ms, received=T0))
    assert nearcast("replay", site, recording).err == f"1 ping refused: {behind}\n", "sorting changes nothing here"
    recording.write_text(ping(0) + late)
    assert nearcast("replay", site, recording, "--sort").err == ""


@pytest.mark.parametrize("option", ["--decisions", "--transitions"])
def test_a_file_that_cannot_be_written_is_a_bad_command_line(nearcast: Command, option: str, tmp_path: Path) -> None:
    site, recording, nowhere = make_site(tmp_path / "site"), tmp_path / "a.jsonl", tmp_path / "nope/x.jsonl"
    recording.write_text(ping(0))
    came = nearcast("replay", site, recording, option, nowhere)
    assert came == Came(2, "", f"`{option}` needs a file to write, got `{nowhere}`: No such file or directory\n")
    came = nearcast("replay", site, recording, option, "/dev/full")
    assert came.code == 1
    assert came.err == "the output cannot be written: No space left on device, make room or write elsewhere\n"


@pytest.mark.parametrize("option", ["--decisions", "--transitions"])
def test_nothing_that_is_read_is_written_over(nearcast: Command, option: str, tmp_path: Path) -> None:
    site, recording, users = make_site(tmp_path / "site"), tmp_path / "a.jsonl", tmp_path / "users.jsonl"
    recording.write_text(ping(0))
    users.write_text('{"id": "u-1"}\n')
    store = site / "var/nearcast.db"
    store.parent.mkdir()
    store.write_bytes(b"what a live site has kept")
    before = {path: path.read_bytes() for path in (recording, users, store)}
    for path in before:
        came = nearcast("replay", site, recording, "--users", users, option, path)
        assert came == Came(2, "", f"`{option}` would write over `{path}`, which is in use here, choose another file\n")
    both = tmp_path / "out.jsonl"
    assert nearcast("replay", site, recording, "--decisions", both, "--transitions", both).code == 2
    assert {path: path.read_bytes() for path in before} == before


def peak_of(site: Site, recording: Path, *, sort: bool) -> int:
    """How many bytes a replay holds at once, at most."""
    tracemalloc.start()
    try:
        replay_files(site, ReplayOptions(files=(recording,), sort=sort), Tally(), Bar())
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("sort", [False, True])
def test_memory_does_not_grow_with_the_recording(sort: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_jsonl, "CHUNK_BYTES", 1 << 16)
    monkeypatch.setattr(recording_sort, "RUN_ROWS", 1 << 12)
    site = site_with(tmp_path / "site")
    short, long = tmp_path / "short.jsonl", tmp_path / "long.jsonl"
    short.write_text(walk(40, 4_000, random.Random(1), late=True))
    with long.open("w") as stream:
        for n in range(10):
            stream.write(walk(40, 4_000, random.Random(n), late=True))
    peak_of(site, short, sort=sort)  # what is made once and kept
    assert peak_of(site, long, sort=sort) < 1.5 * peak_of(site, short, sort=sort)


def test_what_is_sorted_in_runs_comes_out_as_from_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(5)
    lines = []
    for n in range(3_000):
        time_ms = T0 + rng.randrange(400)
        kind = rng.random()
        if kind < 0.9:
            line = {"device": f"d-{n % 70}", "user": f"u-{n % 9}", "time": time_ms, "lat": 1.5, "lng": n / 1_000}
        elif kind < 0.95:
            line = {"id": f"e-{n}", "user": "u-1", "type": "t", "time": time_ms}
        else:
            line = {"id": f"u-{n}", "attributes": {"n": n}}
        lines.append(json.dumps(line) + "\n")
    path = tmp_path / "a.jsonl"
    path.write_text("".join(lines))
    whole = written_out(list(read_recordings((path,), sort=True)))
    monkeypatch.setattr(recording_sort, "RUN_ROWS", 64)
    monkeypatch.setattr(recording_jsonl, "CHUNK_BYTES", 1 << 12)
    assert written_out(list(read_recordings((path,), sort=True))) == whole
    times = [time_ms for kind, time_ms, *_ in whole if kind == "ping"]
    assert times == sorted(times) and len(times) > 2_000
    unsorted = written_out(list(read_recordings((path,))))
    assert whole == sorted(unsorted, key=lambda item: item[1])


def written_out(items: Read) -> list[tuple[Any, ...]]:
    """Each ping, event and user in order, with its time; a user's is that of the line before."""
    found: list[tuple[Any, ...]] = []
    for item in items:
        if isinstance(item, RecordedPings):
            located = item.located
            names = [located.strings[n] for n in located.column("device").tolist()]
            columns = [located.column(name).tolist() for name in ("time", "lng")]
            found += [("ping", *row) for row in zip(columns[0], names, columns[1], strict=True)]
        else:
            time_ms = item.time_ms if item.id else found[-1][1] if found else 0
            found.append((type(item).__name__, time_ms, item.id or item.user))
    return found


def test_who_leaves_right_after_a_rules_instant_was_there_at_it(tmp_path: Path) -> None:
    # One step took the pings up to a second after it, then the timer rang for those who were still there.
    site = site_with(tmp_path / "site")
    recording = tmp_path / "a.jsonl"
    recording.write_text(ping(299_900) + ping(300_400, lat=AWAY[0], lng=AWAY[1]))
    told = folded(site, recording)
    assert [(rule, told.times[key] - T0) for key, rule, *_ in told.decisions if rule == "tick"] == [("tick", 300_000)]


def test_consent_that_was_removed_is_missing_and_is_assumed_as_any(nearcast: Command, tmp_path: Path) -> None:
    site = make_site(tmp_path / "site")
    recording, users = tmp_path / "a.jsonl", tmp_path / "users.jsonl"
    recording.write_text(ping(0, user="u") + ping(1_000, user="u"))
    users.write_text('{"id": "u", "consent": {"marketing": true}}\n{"id": "u", "consent": {"marketing": null}}\n')
    came = nearcast("replay", site, recording, "--users", users, "--assume-consent", "--json")
    assert "consent" not in {d["reason"] for d in json.loads(came.out)["decisions"]}


def test_events_far_ahead_of_all_pings_are_decided_as_of_these_and_that_is_told(
    nearcast: Command, tmp_path: Path
) -> None:
    site = make_site(tmp_path / "site")
    recording = tmp_path / "a.jsonl"
    event = {"user": "u", "type": "purchase", "id": "e", "time": T0 + 86_400_000}
    recording.write_text(ping(0) + json.dumps(event) + "\n" + json.dumps({**event, "id": "f", "time": T0}) + "\n")
    assert "1 event lies far ahead of all pings before: it was decided at" in nearcast("replay", site, recording).err


@pytest.mark.parametrize("words", [["--users", "u.jsonl"], ["--device", "d"], ["--sort"]])
def test_what_is_for_recordings_is_refused_beside_a_store(nearcast: Command, words: list[str], tmp_path: Path) -> None:
    came = nearcast("replay", make_site(tmp_path / "site"), "--from-store", *words)
    assert (came.code, f"`{words[0]}` is for recordings" in came.err) == (2, True)
    both = nearcast("replay", tmp_path / "site", "a.jsonl", "b.db")
    assert (both.code, "a store is replayed alone" in both.err) == (2, True)
