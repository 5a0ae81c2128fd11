"""YAML as we read it: what the author meant comes out, and what cannot be meant has a line and a column."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rules.node import DEPTH_MAX, NODES_MAX, Node
from rules.reader import FILE_BYTES_MAX, read_documents


def plain(text: str) -> object:
    documents, mistakes = read_documents(text, file="f")
    assert mistakes == []
    (document,) = documents
    return document.plain()


def below(node: Node) -> list[Node]:
    """The node and all below it, in order."""
    inner = node.value.values() if node.is_mapping else node.value if node.is_list else ()
    return [node, *(found for child in inner for found in below(child))]


def told(text: str) -> object:
    """All that is known of a file: of each node what it is and where it stands, and the mistakes."""
    documents, mistakes = read_documents(text, file="f")
    nodes = [node for document in documents for node in below(document)]
    return mistakes, [
        (n.path, n.text, n.shown, n.value if n.is_scalar else None, n.line, n.column, n.key_line, n.key_column)
        for n in nodes
    ]


def lines(text: str | bytes) -> list[str]:
    return [str(mistake) for mistake in read_documents(text, file="f")[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("17:00", "17:00"),
        ("22:00", "22:00"),
        ("12:30:45", "12:30:45"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("yes", "yes"),
        ("y", "y"),
        ("2026-12-31", "2026-12-31"),
        ("2026-11-25T17:10+09:00", "2026-11-25T17:10+09:00"),
        ("1_000", "1_000"),
        ("0b11", "0b11"),
        ("30s", "30s"),
        ("=", "="),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1.2.3", "1.2.3"),
        ("12e", "12e"),
        ("'17'", "17"),
        ('"true"', "true"),
        ("17", 17),
        ("-3", -3),
        ("0017", "0017"),
        ("-017", "-017"),
        ("00.5", "00.5"),
        ("+81901234567", "+81901234567"),
        ("+1.5", "+1.5"),
        ("0", 0),
        ("0.50", 0.5),
        ("-0.5", -0.5),
        ("0o17", 15),
        ("0x1F", 31),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = plain(f"a: {text}")
    assert found == {"a": value}
    assert isinstance(found, dict) and type(found["a"]) is type(value)


def test_a_yaml_1_1_directive_changes_nothing() -> None:
    assert plain("%YAML 1.1\n---\n{a: 17:00, b: no}") == {"a": "17:00", "b": "no"}


def test_keys_are_texts_as_they_are_written() -> None:
    assert plain("{no: Norwegian, on: 1, 0017: 2, true: 3, 1.50: 4}") == {
        "no": "Norwegian",
        "on": 1,
        "0017": 2,
        "true": 3,
        "1.50": 4,
    }


def test_empty_documents_are_left_out() -> None:
    documents, mistakes = read_documents("---\n# nothing\n---\na: 1\n---\n---\nb: 2\n...\n", file="f")
    assert ([d.plain() for d in documents], mistakes) == ([{"a": 1}, {"b": 2}], [])
    assert read_documents("", file="f") == ([], [])


def test_nodes_know_their_places_and_paths() -> None:
    (document,), _ = read_documents("a:\n  - x: 1\n    y: [2, 3]\n", file="f")
    found = {node.path: (node.line, node.column, node.key_line, node.key_column) for node in below(document)}
    assert found == {
        "": (1, 1, 1, 1),
        "a": (2, 3, 1, 1),
        "a[0]": (2, 5, 2, 5),
        "a[0].x": (2, 8, 2, 5),
        "a[0].y": (3, 8, 3, 5),
        "a[0].y[0]": (3, 9, 3, 9),
        "a[0].y[1]": (3, 12, 3, 12),
    }


NO_COLON = "a key without `:`, write `key: value`, with a plain `:` and a plain space"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: 2\na: 3\n", "f:3:1: duplicate key, got `a`, it is already on line 1"),
        ("a: {b: 1, b: 2}", "f:1:11: duplicate key, got `b`, it is already on line 1"),
        ("a: &x 1", "f:1:4: anchors are not allowed, got `&x`, write the value out each time"),
        ("a: !!str 1", "f:1:4: tags are not allowed, got `tag:yaml.org,2002:str`, remove it, put text in quotes"),
        ("a: !run rm", "f:1:4: tags are not allowed, got `!run`, remove it, put text in quotes"),
        ("a:\n\t- b", "f:2:1: a tab cannot stand here, use spaces"),
        ("a: b\n c: d", "f:2:3: a `:` cannot stand here, check the indentation, put text that holds `: ` in quotes"),
        ("- a\nb", f"f:2:1: {NO_COLON}"),
        ("a: b\nc:d\n\n# e\nf: g\n", f"f:2:1: {NO_COLON}"),
        ("a: b\nc:\u3000d\ne: f\n", f"f:2:1: {NO_COLON}"),
        ("a: b\nc\uff1ad\ne: f\n", f"f:2:1: {NO_COLON}"),
        ("a:\n  b: c\n  d\n", f"f:3:3: {NO_COLON}"),
        (
            "a:\n  - b\n - c",
            "f:3:2: a list entry cannot stand here, check the indentation",
        ),
        ("a: - b", "f:1:4: a list entry cannot stand here, begin it on a line of its own"),
        (
            "a: {b} {c}",
            "f:1:8: something else stands after the value, put all of the value in one pair of quotes",
        ),
        (
            "a: {b}, c",
            "f:1:7: something else stands after the value, put all of the value in one pair of quotes",
        ),
        ("a: *x", "f:1:4: aliases are not allowed, got `*x`, write the value out"),
        ("a: @x", "f:1:4: a text cannot begin with `@`, put the text in quotes"),
        ("a: 'x", "f:1:6: the file ends too early, the quote that opens on line 1 is not closed"),
        ("a: [1, 2", "f:1:9: the file ends too early, the bracket that opens on line 1 is not closed"),
        ("a: {b: 1", "f:1:9: the file ends too early, the brace that opens on line 1 is not closed"),
        ("? [a]\n: b", "f:1:3: a key must be a text, write `key: value`"),
        ("a: \x07", "f:1:4: holds the control character U+0007, remove it"),
        ('a: "\\ud800"', "f:1:4: holds half of a surrogate pair, write the character itself"),
        ("a: 1e400", "f:1:4: the number is too large, got `1e400`, put it in quotes if it is a text"),
        (f"a: {'9' * 30}", f"f:1:4: the number is too large, got `{'9' * 30}`, put it in quotes if it is a text"),
        (b"a: b\nc: \xff", "f:2:4: is not UTF-8, got `byte 0xff`, save the file as UTF-8"),
        ("- ]", "f:1:3: a `]` that closes nothing, remove it"),
        ("a: b\n- c", "f:2:1: a list entry cannot stand here, check the indentation"),
        ("%YAML 3.0\n---\na: 1", "f:1:1: is of a YAML version that is not read, remove the `%YAML` line"),
        ("a: [1,,2]", "f:1:7: a `,` with nothing before it, remove it"),
        ("a: {b: 1]", "f:1:9: something else stands here, the brace that opens on line 1 is not closed"),
        ('a: "\\q"', "f:1:6: `\\q` is no escape, write `\\\\q`, or use single quotes"),
        ("a: 'b' c", "f:1:8: a text cannot stand here, put all of the value in one pair of quotes"),
        ("a:\n  - b\n c: d", "f:3:2: a key cannot stand here, check the indentation"),
        ("a: *", "f:1:5: a text cannot begin with `*` or `&`, put the text in quotes"),
        ("a: > b", "f:1:6: a text cannot begin with `|` or `>`, put the text in quotes"),
    ],
)
def test_what_cannot_be_meant_has_a_place_and_a_mend(text: str | bytes, line: str) -> None:
    assert lines(text) == [line]


def test_an_alias_is_a_mistake_of_its_own() -> None:
    assert lines("a: &x [1]\nb: *x") == [
        "f:1:4: anchors are not allowed, got `&x`, write the value out each time",
        "f:2:4: aliases are not allowed, got `*x`, write the value out",
    ]


def test_all_duplicates_are_told_but_no_more_than_people_read() -> None:
    found = lines("a: 1\n" * 1000)
    assert len(found) == 101
    assert found[-1].endswith("more mistakes in this file are not shown, mend these first")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_before_it_is_parsed(opening: str) -> None:
    found = lines(opening * 100_000)
    assert any(line.endswith(f"nested more than {DEPTH_MAX} levels deep") for line in found)


def test_as_deep_as_allowed_is_read() -> None:
    assert lines("[" * DEPTH_MAX + "]" * DEPTH_MAX) == []
    assert lines("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1)) != []


def test_a_file_of_one_mebibyte_is_read_and_one_byte_more_is_not() -> None:
    text = "a: " + "x" * (FILE_BYTES_MAX - 3)
    assert lines(text) == []
    assert lines(text + "x") == ["f:1:1: the file is larger than 1 MiB, got `1,048,577 bytes`, split it"]


def test_too_many_values_are_refused() -> None:
    assert lines("[" + "1," * NODES_MAX + "]")[0].endswith("more than 100,000 values in one file, split the file")


def test_bytes_with_a_byte_order_mark_are_read() -> None:
    documents, mistakes = read_documents(b"\xef\xbb\xbfa: 1", file="f")
    assert ([d.plain() for d in documents], mistakes) == ([{"a": 1}], [])


def test_windows_line_ends_count_as_one() -> None:
    assert lines("a: 1\r\nb: 2\r\na: 3\r\n") == ["f:3:1: duplicate key, got `a`, it is already on line 1"]


@given(st.text(alphabet="ab:-[]{}\"'#&*!|>%@`,? \n\t\\\u0085\u2028u0x1d8~", max_size=60))
def test_no_text_makes_the_reader_raise(text: str) -> None:
    documents, mistakes = read_documents(text, file="f")
    assert all(m.line >= 1 and m.column >= 1 for m in mistakes)
    for document in documents:
        document.plain()


@given(st.binary(max_size=60))
def test_no_bytes_make_the_reader_raise(data: bytes) -> None:
    read_documents(data, file="f")


_WORDS = ["a", "b: ", ": ", ":", "- ", "-", ", ", ",", "[", "]", "{", "}", '"x"', "'y'", "\n", "\n  ", "\n    ", " "]
_WORDS += [
    "#",
    "# c",
    "? ",
    "?",
    "---",
    "...",
    "\n---\n",
    "17:00",
    '"',
    "'",
    "é",
    "駅",
    "😀",
    "!",
    "&x",
    "*x",
    "|",
    ">",
]
_WORDS += ["%", "@", "=", "<<", "~", "null", "1", "1.5", "http://x", "a b", "x: 1\n", "y:\n  - z\n", "\t", "\\n"]
_WORDS += ["\r\n", "\u2028", "\ufeff"]


@given(st.lists(st.sampled_from(_WORDS), max_size=14).map("".join))
def test_libyaml_reads_what_it_may_read_as_ruamel_does(text: str) -> None:
    swift = told(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rules.reader.plain_documents", lambda text, file: None)
        assert told(text) == swift


_SCALARS = st.sampled_from(['"x"', "'y'", '""', '"x\n y"', "a", "1", "a:b", ":a", "- a", "?a", ""])


def _flow(below: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Lists and mappings in brackets, with blanks about each `:` and `,`, or none."""
    blank = st.sampled_from(["", "", " ", "\n  "])
    pair = st.tuples(st.sampled_from(["", "", "? "]), _SCALARS | below, blank, st.just(":"), blank, below).map("".join)
    entries = st.lists(pair | below, min_size=1, max_size=2)
    body = st.tuples(entries, st.tuples(blank, st.just(","), blank).map("".join)).map(lambda of: of[1].join(of[0]))
    return st.sampled_from(["[]", "{}"]).flatmap(lambda ends: body.map(lambda inner: f"{ends[0]}{inner}{ends[1]}"))


@given(st.sampled_from(["", "a: ", "- "]), st.recursive(_SCALARS, _flow, max_leaves=4))
def test_a_file_is_read_alike_whatever_its_comments_hold(before: str, text: str) -> None:
    # A backslash, be it in a comment, is not for libyaml.
    assert told(f"{before}{text}\n# C:\\temp\n") == told(f"{before}{text}\n# C:/temp\n")


def test_a_quoted_key_needs_no_space_after_its_colon_in_brackets() -> None:
    for comment in ("", "# C:\\temp\n"):
        found = plain(f'{comment}a: ["push":{{"template":"t"}}, \'b\' :1]\n')
        assert found == {"a": [{"push": {"template": "t"}}, {"b": 1}]}


def test_a_plain_file_is_read_by_libyaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("rules.reader._read_closely")
    text = "id: a\nactions: [push: {title: \"Hi, {place.name}\"}]\n---\nid: b\nwindows:\n  - {from: '10:00'}\n"
    assert [yaml.safe_load(part) for part in text.split("---")] == [
        d.plain() for d in read_documents(text, file="f")[0]
    ]
