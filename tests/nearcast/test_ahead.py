"""Reading ahead: the same parts in the same order, and errors where they belong."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from nearcast.ahead import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def numbers(until: int, made: list[int]) -> Iterator[int]:
    for n in range(until):
        made.append(n)
        yield n
    raise OSError("the file ends")


def test_what_the_making_of_a_part_raises_is_raised_in_its_place() -> None:
    got: list[int] = []
    with pytest.raises(OSError, match="the file ends"):
        got.extend(ahead(numbers(5, [])))
    seen = []
    parts = ahead(numbers(3, []))
    for _ in range(3):
        seen.append(next(parts))
    with pytest.raises(OSError, match="the file ends"):
        next(parts)
    assert seen == [0, 1, 2]


def test_no_more_than_one_part_is_made_before_it_is_asked_for() -> None:
    made: list[int] = []
    parts = ahead(numbers(100, made))
    assert [next(parts), next(parts)] == [0, 1]
    parts.close()  # type: ignore[attr-defined] # it is a generator
    assert made in ([0, 1], [0, 1, 2])


def test_its_thread_ends_with_it() -> None:
    assert list(ahead(iter([1, 2]))) == [1, 2]
    parts = ahead(iter([1, 2]))
    next(parts)
    del parts
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]
