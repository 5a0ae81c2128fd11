"""The JSON Schemas of rule and template files, for editors.

Owns their frame; what stands in it comes from the shapes that read the files. Must not know any key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rules import lang_audience, lang_triggers
from rules.lang_actions import TEMPLATE_FILE
from rules.language import RULE

if TYPE_CHECKING:
    from rules.shapes import Json, Shape

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(shape: Shape[Any], *, title: str, defs: dict[str, Shape[Any]] | None = None) -> Json:
    """The whole schema of a file whose document is `shape`. `defs` are the shapes that it names by `Again`."""
    found: Json = {"$schema": DIALECT, "title": title} | shape.schema()
    if defs:
        found["$defs"] = {name: named.schema() for name, named in defs.items()}
    return found


def rules_schema() -> Json:
    """The schema of one rule: one YAML document of a file in `rules/`."""
    defs = {**lang_triggers.DEFS, **lang_audience.DEFS}
    return schema_of(RULE, title="A Nearcast rule", defs=defs)


def templates_schema() -> Json:
    """The schema of a file in `templates/`: texts by language, the first one being the default."""
    return schema_of(TEMPLATE_FILE, title="A Nearcast template")
