"""The benchmarks run, on tiny data, and a difference in answers is a failure. No test here looks at a time."""

from __future__ import annotations

import doctest
import re
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks import bench, gateways, live, match, page, plot, record, run, table
from benchmarks.__main__ import BENCHES, LONG
from benchmarks.bench import TINY, Bench, DifferenceError, Side, pairs
from benchmarks.city import stars
from benchmarks.curves import CURVES
from benchmarks.peers import postgis, program, tile38
from benchmarks.rounds import Line, measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def no_toolchains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers that must be built or served are for `make bench`: here they are absent, as on a bare machine."""

    def absent(*_: Any) -> Any:
        raise program.AbsentError("not here")

    monkeypatch.setattr(program, "built", absent)
    monkeypatch.setattr(postgis, "side", absent)


@pytest.fixture
def keep() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("name", [name for name in BENCHES if not name.startswith("run-")])
def test_a_benchmark_runs_on_tiny_data_with_equal_answers(name: str, keep: ExitStack) -> None:
    made = BENCHES[name](TINY, keep)
    lines = measure(made, TINY.rounds)
    assert made.name == name
    assert [line.peer for line in lines] == [peer.name for peer in made.peers]
    assert all(len(line.ours_s) == len(line.theirs_s) == TINY.rounds for line in lines)
    assert all(isinstance(peer.form, str) and peer.form for peer in made.peers)


@pytest.mark.timeout(120)
def test_the_running_process_counts_who_enters_and_leaves_as_shapely_and_tile38_do(
    keep: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    double = tmp_path / "tile38-server"
    double.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tests.house.tile38_double "$@"\n')
    double.chmod(0o755)
    monkeypatch.setenv("TILE38_SERVER", str(double))
    monkeypatch.setattr(run, "stars", partial(stars, spread=0.05))  # so dense that 50 people cross many borders
    made = run.bench(TINY, keep, batch=10, fences=100)
    (line,) = measure(made, TINY.rounds)
    assert line.peer == "Tile38 9.9.9"
    assert made.oracle is not None and sum(made.oracle()) > 0


def test_where_there_is_no_tile38_its_recorded_figures_stand_in_and_say_so(
    keep: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TILE38_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(tile38, "RECORDED_US", {40: (10.0, 20.0)})
    made = run.bench(TINY, keep, batch=10, fences=40)
    (line,) = measure(made, TINY.rounds)
    assert "recorded" in line.peer and "2026" in line.recorded
    assert line.theirs == pytest.approx(100_000)
    assert any("no `tile38-server`" in reason for reason in made.absent)


def test_what_several_gateways_cost_is_measured_with_equal_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile38, "RECORDED_US", {40: (10.0, 20.0)})
    median, least, most = gateways.costs(TINY, 10, 2)
    assert 0 < least <= median <= most


def test_missing_peers_are_named_each_with_its_reason(keep: ExitStack) -> None:
    made = match.bench(TINY, keep)
    assert made.absent == ("not here",) * (len(program.PROGRAMS) + 1)


def _bench(ours: Any, theirs: Any) -> Bench:
    def side(name: str, answer: Any) -> Side:
        return Side(name, 1, lambda: None, lambda: answer)

    return Bench("b", "w", "things", "d", side("nearcast", ours), (side("good", ours), side("other", theirs)))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(pairs([0, 1], [5, 6]), pairs([0], [5])), (pairs([0], [5]), pairs([0, 0], [5, 5])), (["sent"], ["cap"]), (1, 2)],
)
def test_a_difference_in_answers_is_a_failure_before_anything_is_timed(ours: Any, theirs: Any) -> None:
    with pytest.raises(DifferenceError, match="nearcast and other answer differently"):
        measure(_bench(ours, theirs), 2)
    assert len(measure(_bench(ours, ours), 2)) == 2


def test_the_order_of_pairs_is_no_difference() -> None:
    assert np.array_equal(pairs([2, 1], [0, 9]), pairs([1, 2], [9, 0]))


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    line = Line("w", "things", 10, "p", [1.0, 2.0, 1.0], [2.0, 2.0, 8.0], peer_count=5)
    assert (line.ratio, line.spread) == (4.0, (2.0, 16.0))


def _record(*lines: tuple[str, float]) -> dict[str, Any]:
    made = [Line("w", "things", 1, peer, [1.0], [ratio], name="b") for peer, ratio in lines]
    return record.record(record.about("quick", "core 0")) | {
        "lines": [record.line(line) for line in made], "absent": {"b": ["a peer: not here"]},
    }  # fmt: skip


def test_a_ratio_that_fell_by_more_than_noise_is_named_and_one_that_rose_is_not() -> None:
    before = _record(("slow", 10.0), ("level", 1.0), ("gone", 3.0))
    assert record.fallen(before, _record(("slow", 30.0), ("level", 0.71))) == []
    assert record.fallen(before, _record(("slow", 6.9), ("level", 1.0), ("new", 0.1))) == [
        "w beside slow: 6.9, recorded 10"
    ]


def test_a_recorded_peer_is_not_what_a_check_compares_with() -> None:
    before, now = _record(("a", 1.0), ("theirs", 9.0)), _record(("a", 1.0), ("theirs", 1.0))
    before["lines"][1]["recorded"] = "1.0, on another day"
    assert record.fallen(before, now) == []


@pytest.mark.parametrize("name", ["full", "quick"])
def test_a_record_says_how_it_was_made_and_has_every_benchmark(name: str) -> None:
    kept = record.read(name)
    assert kept["command"].startswith("python -m benchmarks --record") and kept["size"] == name
    assert kept["machine"]["processor"] and kept["machine"]["cores"] and kept["versions"]["python"]
    expected = len(BENCHES) - (len(LONG) if name == "quick" else 0)
    assert len({line["name"] for line in kept["lines"]}) == expected
    assert name == "quick" or ([*kept["live"]] == [*live.LOADS] and [*kept["curves"]] == [*CURVES])
    for line in kept["lines"]:
        assert line["rounds"] >= 7 and line["data"] and line["form"]
        assert line["spread"][0] <= line["ratio"] <= line["spread"][1]


@pytest.mark.parametrize("path", page.PAGES)
def test_the_figures_of_a_page_are_the_recorded_ones(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert page.filled(text, record.read("full")) == text, "run `python -m benchmarks.page`"
    assert re.search(r"<!-- [a-z]+: ", text)


def test_the_page_shows_every_line_of_the_record() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    missing = [row["what"] for row in record.read("full")["lines"] if " | ".join(table.cells(row)) not in text]
    assert not missing


def test_the_pictures_are_drawn_from_the_recorded_curves() -> None:
    curves = record.read("full")["curves"]
    assert list(curves) == list(CURVES)
    for name, curve in curves.items():
        assert (record.RESULTS / f"{name}.svg").read_text(encoding="utf-8") == plot.picture(curve)
        ElementTree.parse(record.RESULTS / f"{name}.svg")
        assert f"results/{name}.svg" in page.PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_can_be_measured_with_equal_answers(name: str, keep: ExitStack) -> None:
    made = CURVES[name].at(10, TINY, keep)
    assert all(line.theirs > 0 for line in measure(made, 1))


def test_what_was_not_run_again_stays_in_the_record_and_what_is_no_more_goes() -> None:
    before, now = _record(("a", 1.0), ("b", 2.0)), _record(("b", 3.0))
    before["lines"][0]["name"], gone = "kept", before["lines"][0] | {"name": "gone"}
    before["lines"].append(gone)
    both = record.merged(before, now, ["b", "kept"])
    assert [(row["name"], row["ratio"]) for row in both["lines"]] == [("b", 3.0), ("kept", 1.0)]
    assert both["absent"] == {"b": ["a peer: not here"]}
    before["machine"]["processor"] = "another"
    with pytest.raises(SystemExit, match="of another machine"):
        record.merged(before, now, ["b", "kept"])


def test_a_whole_run_leaves_nothing_of_an_earlier_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    record.keep("full", _record(("a", 1.0)) | {"live": {"old": {}}, "curves": {"old": {}}}, ["b"], whole=True)
    record.keep("full", now := _record(("b", 2.0)), ["b"], whole=True)
    assert record.read("full", tmp_path) == now


def test_a_check_that_can_compare_nothing_fails() -> None:
    assert record.fallen(_record(("a", 1.0)), _record(("b", 1.0))) == ["nothing could be compared with the record"]


@pytest.mark.timeout(120)
def test_a_steady_load_reaches_the_webhook_and_is_timed() -> None:
    got = live.figures(live.Load(rate=1_000, seconds=2, batch=10, fences=2_000, share=1, devices=100))
    assert got["messages"] > 0 and got["cpu_us"] > 0 and 0 < got["pings_s"] <= 1_010
    assert all(0 < got[f"{what}_p50_ms"] <= got[f"{what}_p99_ms"] for what in ("ack", "handoff"))


@pytest.mark.parametrize("module", [bench, live, plot, table])
def test_the_examples_in_docstrings_run(module: Any) -> None:
    assert doctest.testmod(module).attempted
    assert not doctest.testmod(module).failed


def test_two_runs_draw_the_same_data(keep: ExitStack) -> None:
    first, second = (match.bench(TINY, keep) for _ in range(2))
    assert first.data == second.data
    assert np.array_equal(first.ours.answer(), second.ours.answer())
