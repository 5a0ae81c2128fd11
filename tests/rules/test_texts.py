"""Texts: listed fields are replaced, everything else stays as it is written, and no value is read again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.facts import Occasion, User
from rules.place import Place, PlaceKind
from rules.texts import Field, Template, Text, TextError, Values, Words, as_text, parse_field
from rules.zones import zone
from tests.rules.scene import SHINJUKU, entered, event, user


def shown(source: str, occasion: Occasion | None = None, person: User | None = None) -> str:
    tz = zone("Asia/Tokyo")
    assert tz is not None
    return Text.of(source).render(Values(occasion or entered(), person or user(), "r-1", tz))


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("no field", "no field"),
        ("", ""),
        ("At {place.name}!", "At Shinjuku!"),
        ("{place.id} {place.group}", "shinjuku tokyo"),
        ("{place.floor} {place.data.floor}", "B1 B1"),
        ("{place.walk.min}", "5"),
        ("{place.nothing}{place.walk}", ""),
        ("{user.id} {user.locale}", "u ja"),
        ("{user.attributes.name}", "Aiko"),
        ("{user.attributes.home.city}", "Tokyo"),
        ("{user.attributes.nothing}", ""),
        ("{occasion.kind} {occasion.date} {occasion.time}", "entered 2026-11-25 17:00"),
        ("{rule.id}", "r-1"),
        ("{event.type}{event.sku}", ""),
        ("{{place.name}} is {{literal}}", None),
        ("{{ and }} stay", "{ and } stay"),
        ("{{{place.id}}}", "{shinjuku}"),
        ("100 % of $x, \\n, %s, <b>", "100 % of $x, \\n, %s, <b>"),
        ("{place.name}駅のタイムセール", "Shinjuku駅のタイムセール"),
    ],
)
def test_fields_are_replaced_by_what_they_name(source: str, text: str | None) -> None:
    person = user(locale="ja", attributes={"name": "Aiko", "home": {"city": "Tokyo"}})
    if text is None:
        with pytest.raises(TextError, match="doubled braces"):
            Text.of(source)
    else:
        assert shown(source, person=person) == text


def test_an_events_data_is_a_field() -> None:
    bought = event("purchase", {"sku": "A-1", "price": 980.0, "items": ["pen", 2], "gift": True})
    source = "{event.type} {event.id} {event.data.sku} {event.price} {event.items} {event.gift}"
    assert shown(source, bought) == "purchase e-1 A-1 980 pen, 2 true"


def test_without_a_place_its_fields_are_empty() -> None:
    assert shown("at {place.name}, {place.floor}.", event("purchase")) == "at , ."


@pytest.mark.parametrize(
    ("source", "what", "mend"),
    [
        ("{place.nmae.x", "has a lone brace", "write `{{` for a literal one"),
        ("a } b", "has a lone brace", "write `}}` for a literal one"),
        ("{}", "names an unknown field", "known are"),
        ("{name}", "names an unknown field", "did you mean `place.name`?"),
        ("{ place.name }", "names an unknown field", "write `{place.name}`"),
        ("{user.tier}", "names an unknown field", "did you mean `user.attributes.tier`?"),
        ("{occasion.tme}", "names an unknown field", "did you mean `occasion.time`?"),
        ("{rule.name}", "names an unknown field", "did you mean"),
        ("{shop.name}", "names an unknown field", "did you mean `place.name`?"),
        ("{place}", "names an unknown field", "did you mean `place.id`?"),
        ("{place.data}", "names an unknown field", "did you mean"),
        ("{place.name!r}", "names an unknown field", "did you mean `place.name`?"),
        ("{place.__class__}", None, None),
        ("{{ place.name }}", "doubled braces mean a literal brace", "write `{place.name}`"),
        ("{{ user.tier }}", "doubled braces mean a literal brace", "write `{user.attributes.tier}`"),
        ("{{ occasion.tme }}", "doubled braces mean a literal brace", "did you mean `occasion.time`?"),
        ("{{user.attributes.x}}", "doubled braces mean a literal brace", "write `{user.attributes.x}`"),
    ],
)
def test_what_is_no_field_is_told_with_a_mend(source: str, what: str | None, mend: str | None) -> None:
    if what is None or mend is None:
        assert shown(source) == ""
        return
    with pytest.raises(TextError) as caught:
        Text.of(source)
    assert caught.value.what == what
    assert mend in caught.value.mend


@pytest.mark.parametrize(
    "attack",
    [
        "{place.name}",
        "{user.attributes.secret}",
        "{{7*7}}",
        "${7*7}",
        "<%= 7*7 %>",
        "#{7*7}",
        "{0.__class__.__mro__}",
        "%(user)s",
        "{% for x in y %}",
        "`id`",
        "$(id)",
        "\x00",
    ],
)
def test_a_value_is_never_read_again(attack: str) -> None:
    person = user(attributes={"name": attack, "secret": "s3cret"})
    assert shown("Hi {user.attributes.name}!", person=person) == f"Hi {attack}!"


def test_internals_of_values_cannot_be_reached() -> None:
    odd = Place("p", PlaceKind.FENCE, data={"a": "x"})
    for source in ("{place.kind}", "{place.tags}", "{place.a.__class__}", "{place.data.__len__}"):
        assert shown(source, entered(place=odd)) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (3, "3"),
        (3.0, "3"),
        (2.5, "2.5"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (10**50, ""),
        ({"a": 1}, ""),
        (["a", ["b"], None], "a, "),
    ],
)
def test_values_are_written_as_people_read_them(value: Any, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("locale", "chosen"),
    [
        ("ja", "ja"),
        ("en", "en"),
        ("ja-JP", "ja"),
        ("en_GB", "en"),
        ("EN-us", "en"),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-TW", "ja"),
        ("fr", "ja"),
        ("", "ja"),
        (None, "ja"),
        ("-", "ja"),
        ("--x", "ja"),
    ],
)
def test_the_users_language_is_chosen_else_the_first(locale: str | None, chosen: str) -> None:
    words = Words(Text(()), Text(()))
    template = Template("t", {"ja": words, "en": words, "zh-Hant": words})
    assert template.choose(locale) == chosen


@given(st.text(max_size=40))
def test_a_text_is_cut_or_refused_and_what_has_no_brace_comes_out_as_it_is(source: str) -> None:
    try:
        text = Text.of(source)
    except TextError as error:
        assert "{" in source or "}" in source
        assert error.mend
        return
    if "{" not in source and "}" not in source:
        assert text.parts == ((source,) if source else ())


@given(st.text(alphabet="{}a .", max_size=20))
def test_doubled_braces_are_literal(source: str) -> None:
    escaped = source.replace("{", "{{").replace("}", "}}")
    assert shown("x" + escaped) == "x" + source


@given(st.text(max_size=20))
def test_no_name_makes_a_field_raise_anything_else(name: str) -> None:
    try:
        assert isinstance(parse_field(name), Field)
    except TextError as error:
        assert error.what


def test_a_field_says_what_the_author_wrote() -> None:
    assert [str(parse_field(name)) for name in ("place.floor", "event.data.x", "user.attributes.t", "place.id")] == [
        "place.floor",
        "event.data.x",
        "user.attributes.t",
        "place.id",
    ]
    assert parse_field("place.floor") == parse_field("place.data.floor")
    assert "data" not in SHINJUKU.data
