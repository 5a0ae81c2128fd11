"""What is said of a body that is no JSON: what is wrong, where, and how to mend it."""

from __future__ import annotations

import pytest

from engine.body import body_elements
from engine.event import decode_user
from engine.rejection import BodyError, Broken, RejectReason

NO_JSON = [
    (b'{"device":"d', "unterminated string starting at character 10"),
    (b'{"a":"b\nc"}', "invalid control character at character 7"),
    (b'{"a":"\\x"}', "invalid \\escape at character 6"),
    (b"{", "expecting property name enclosed in double quotes at character 1"),
]


@pytest.mark.parametrize(("body", "wrong"), NO_JSON)
def test_a_body_that_is_no_json_is_told_in_one_sentence(body: bytes, wrong: str) -> None:
    with pytest.raises(BodyError) as caught:
        body_elements(body, ndjson=False, what="ping", max_batch=9)
    assert (caught.value.status, caught.value.text) == (400, f"the body is no JSON: {wrong}")


@pytest.mark.parametrize(("line", "wrong"), NO_JSON[::3])
def test_a_line_that_is_no_json_too(line: bytes, wrong: str) -> None:
    lines = body_elements(b"1\n" + line, ndjson=True, what="ping", max_batch=9)
    assert lines == [1, Broken(RejectReason.BAD_JSON, f"the line is no JSON: {wrong}")]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is empty, send one ping or an array"),
        (b"{}{}", "the body is no JSON: extra data at character 2, send lines as `application/x-ndjson`"),
    ],
)
def test_a_body_of_pings_may_be_an_array_or_lines(body: bytes, told: str) -> None:
    with pytest.raises(BodyError) as caught:
        body_elements(body, ndjson=False, what="ping", max_batch=9)
    assert caught.value.text == told


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b" ", "the body is empty, send one object with what is to change"),
        (b"{}{}", "the body is no JSON: extra data at character 2, send one object with what is to change"),
    ],
)
def test_of_a_user_there_is_one_object(body: bytes, told: str) -> None:
    with pytest.raises(BodyError) as caught:
        decode_user("u", body)
    assert (caught.value.status, caught.value.text) == (400, told)


DEEP = b'{"b":' + b"[" * 5_000 + b'"],["' + b"]" * 5_000 + b"}"
TOO_DEEP = Broken(RejectReason.OUT_OF_RANGE, "it is nested deeper than 500")


@pytest.mark.parametrize(
    ("body", "elements"),
    [
        (b'[{"a":"]\\""},' + DEEP + b',{"c":3}]', [{"a": ']"'}, TOO_DEEP, {"c": 3}]),
        (b" [" + DEEP + b" ]\n", [TOO_DEEP]),
        (b"[" * 5_000 + b"]" * 5_000, [TOO_DEEP]),
        (b"[" + DEEP + b", 1 ," + DEEP + b', {"n": NaN}, [[]]]', [TOO_DEEP, 1, TOO_DEEP, ..., [[]]]),
    ],
)
def test_an_element_that_is_nested_too_deep_does_not_harm_its_neighbours(body: bytes, elements: list[object]) -> None:
    """The whole body was refused, though of lines only that line."""
    found = body_elements(body, ndjson=False, what="ping", max_batch=9)
    assert [want if want is ... else got for got, want in zip(found, elements, strict=True)] == elements


@pytest.mark.parametrize("body", [DEEP, b"[" * 5_000, b"[" + DEEP, b"[" + DEEP + b',"' + b'\\"' * 500_000])
def test_what_is_too_deep_and_no_array_is_refused_whole(body: bytes) -> None:
    with pytest.raises(BodyError) as caught:
        body_elements(body, ndjson=False, what="ping", max_batch=9)
    assert caught.value.status == 400
