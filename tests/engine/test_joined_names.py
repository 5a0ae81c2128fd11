"""Frames that are joined keep every row's names, also where these cannot be numbered together with those of all."""

from __future__ import annotations

from engine.joined import Joiner
from engine.rows import Rows, columns
from engine.wire import Frame, encode_frame, read_frame

#: Longer than any text that the kernel takes.
LONG = "d" * 70_000


def heard(now_ms: int, devices: list[str], users: list[str | None], beacons: list[str | None]) -> Frame:
    """A frame of pings, one of each device, as a journal gives it back."""
    count = len(devices)
    nothing = ([None] * count for _ in range(5))
    rows = Rows(devices, [now_ms] * count, [1.0] * count, [2.0] * count, users, beacons, *nothing)
    return read_frame(encode_frame(now_ms, [columns([rows])]))


def names_in(joiner: Joiner, *frames: Frame) -> list[tuple[str | None, ...]]:
    """The names of each row of joined frames."""
    located = joiner.join(frames).located
    strings = [*located.strings, None]
    codes = [located.column(name).tolist() for name in ("device", "user", "beacon")]
    return [tuple(strings[code] for code in row) for row in zip(*codes, strict=True)]


def test_each_row_keeps_its_names() -> None:
    many = [f"d-{n}" for n in range(20_000)]
    one = heard(5, ["a", "b"], [None, "u"], [None, "gateway:x"])
    two = heard(6, ["u", "é", "a" * 300], ["b", "u", None], [None, None, "gateway:y"])
    three = heard(7, many, [*many[1:], None], [None] * len(many))
    first = [("a", None, None), ("b", "u", "gateway:x")]
    second = [("u", "b", None), ("é", "u", None), ("a" * 300, None, "gateway:y")]
    third = [*zip(many, [*many[1:], None], [None] * len(many), strict=True)]
    joiner = Joiner()
    assert names_in(joiner, one, Frame(6, []), two) == first + second
    assert names_in(joiner, three, one) == third + first
    assert names_in(joiner, two, three) == second + third


def test_a_name_that_no_kernel_takes_is_read_beside_the_others() -> None:
    plain, odd = heard(5, ["a", "b"], ["u", None], [None, None]), heard(6, ["b", LONG], [LONG, "u"], [None, None])
    first, second = [("a", "u", None), ("b", None, None)], [("b", LONG, None), (LONG, "u", None)]
    joiner = Joiner()
    assert names_in(joiner, plain, odd, plain) == first + second + first
    assert names_in(joiner, plain) == first
    table = joiner.join([plain]).located.strings
    assert joiner.join([plain, plain]).located.strings is table, "frames without such names share one table"
