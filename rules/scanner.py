"""ruamel's scanner, where it is stricter than YAML 1.2: in a flow list too, a quoted key needs no space after its `:`.

Owns that one rule: libyaml has it, and which of the two reads a file depends on what else stands there, be it a
comment. Must not know what is built of the tokens.
"""

from __future__ import annotations

from typing import Any

from ruamel.yaml.scanner import Scanner
from ruamel.yaml.tokens import FlowMappingEndToken, FlowSequenceEndToken, ScalarToken


class ScannerOf12(Scanner):
    """Takes `["key":value]`, where ruamel takes no more than `{"key":value}`."""

    latest: Any = None

    def fetch_more_tokens(self) -> Any:
        super().fetch_more_tokens()
        self.latest = self.tokens[-1]  # the parser may have taken it when the next is fetched

    def check_value(self) -> Any:
        return super().check_value() or (self.flow_level and _is_like_json(self.latest))


def _is_like_json(token: Any) -> bool:
    quoted = isinstance(token, ScalarToken) and not token.plain
    return quoted or isinstance(token, FlowMappingEndToken | FlowSequenceEndToken)
