"""`nearcast schema`: the JSON Schemas of a site's files, for editors.

Owns which there are. What stands in them comes from the readers of the files themselves.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from engine.beacons import beacons_schema
from engine.settings_shapes import settings_schema
from rules.schema import rules_schema, templates_schema

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMAS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "rules": rules_schema,
    "settings": settings_schema,
    "beacons": beacons_schema,
    "templates": templates_schema,
}


def schema_text(part: str) -> str:
    """The JSON Schema (2020-12) of a part of a site, as indented JSON.

    >>> json.loads(schema_text("settings"))["title"]
    'nearcast.yaml'
    """
    return json.dumps(SCHEMAS[part](), indent=2, ensure_ascii=False)
