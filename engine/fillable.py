"""Texts of the settings in which `${NAME}` stands for a variable of the environment: keys, secrets, addresses, paths.

Owns what each of them must be once it is filled in. Must not read the environment, and never shows a secret.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from rules.scalars import Text

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Desk

VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


class Fillable(Text):
    """A text in which `${NAME}` stands for an environment variable. `kind`: what it must be, filled in."""

    def __init__(self, kind: str) -> None:
        super().__init__(most=4_096)
        self.kind = kind

    def read(self, node: Node, desk: Desk) -> str | None:
        text = super().read(node, desk)
        if text is None:
            return None
        if VARIABLE.search(text):
            desk.note("variable", node, text)
        elif "${" in text:
            desk.wrong(node, "holds `${` without a name and `}`", "write `${NAME}`", got=hidden(text))
            return None
        elif fault := fault_of(self.kind, text):
            desk.wrong(node, *fault)
            return None
        return text


def fault_of(kind: str, text: str) -> tuple[str, str] | None:
    """What is wrong with a filled-in text of a kind (`key secret url path broker redis login`), and how to mend it.

    It is never shown.

    >>> fault_of("secret", "whsec_c2VjcmV0"), fault_of("key", "a b")
    (None, ('holds a space or a character that no header may hold', 'use letters and digits'))
    """
    if not text.strip():
        return "is empty", "write something or take it out"
    if kind == "path" and not text.isprintable():
        return "holds a character that no path should hold", "use letters and digits"
    if kind == "key" and not re.fullmatch(r"[!-~]+", text):
        return "holds a space or a character that no header may hold", "use letters and digits"
    if kind == "secret":
        try:
            if not b64decode(text.removeprefix("whsec_"), validate=True):
                raise Base64Error
        except (Base64Error, ValueError):
            return "needs a secret in base64", "write `whsec_` and what `openssl rand -base64 32` prints"
    if kind == "url" and not _is_address(text, ("http", "https")):
        return "needs an address such as `https://example.com/push`", "begin it with `https://` or `http://`"
    if kind == "redis" and not _is_address(text, ("redis", "rediss", "redis+cluster", "rediss+cluster")):
        return "needs an address such as `redis://127.0.0.1:6379/0`", "begin it with `redis://` or `rediss://`"
    if kind == "broker" and not re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}", text):
        return "needs a broker such as `kafka-1:9092`", "write host, `:` and port"
    return None


def _is_address(text: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and not re.search(r"\s", text)
    except ValueError:
        return False


def hidden(text: str) -> str:
    """A value that may be secret, as messages show it."""
    return f"{text[:6]}..." if len(text) > 12 else "..."
