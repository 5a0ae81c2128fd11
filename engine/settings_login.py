"""The form of the settings' blocks `cluster.kafka` and `cluster.redis_tls`: encryption, and who logs in.

Owns that form, what in it must go together, and that no password stands in a file: a site's files are kept in its store
and in Redis. What it means is `engine/settings.py`'s. Must not read the files that it names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.fillable import VARIABLE, Fillable
from engine.settings import MECHANISMS, KafkaLogin, KafkaProtocol, TlsFiles
from rules.scalars import Word
from rules.shapes import Fields, Key

if TYPE_CHECKING:
    from rules.node import Node
    from rules.shapes import Desk, Record

_SASL: Final = ("mechanism", "user", "password")
_TLS: Final = ("ca", "certificate", "key")


class FromEnvironment(Fillable):
    """A secret that a file must only name."""

    def read(self, node: Node, desk: Desk) -> str | None:
        text = super().read(node, desk)
        if text is not None and not VARIABLE.search(text):
            what = "is written out, and a site's files are kept in its store and in Redis"
            desk.wrong(node, what, "name a variable of the environment, `${NAME}`")
            return None
        return text


def _tls(record: Record) -> TlsFiles:
    if record.has("key") and not record.has("certificate"):
        record.wrong("key", "is the key of no certificate", "add `certificate:`")
    return TlsFiles(*(record.get(name) for name in _TLS))


def _kafka(record: Record) -> KafkaLogin:
    protocol = KafkaProtocol(record.get("protocol", KafkaProtocol.PLAINTEXT))
    missing = [name for name in _SASL if not record.has(name)]
    if protocol.logs_in and missing:
        record.wrong(
            "protocol", f"logs in, which needs {' and '.join(f'`{name}`' for name in missing)}", "add them",
            got=protocol.value,
        )  # fmt: skip
    for names, used, word in ((_SASL, protocol.logs_in, "SASL_SSL"), (_TLS, protocol.is_encrypted, "SSL")):
        for name in names:
            if record.has(name) and not used:
                what = f"is not used with `protocol: {protocol.value}`"
                record.wrong(name, what, f"write `protocol: {word}`, or take it out")
    return KafkaLogin(protocol, _tls(record), *(record.get(name) for name in _SASL))


_FILES: Final = {
    "ca": Key(Fillable("path"), "PEM: who vouches for the other side (the machine's own list); may be `${NAME}`"),
    "certificate": Key(Fillable("path"), "PEM: what is shown to the other side (none); may be `${NAME}`"),
    "key": Key(Fillable("path"), "PEM: the certificate's key, if not in the same file; may be `${NAME}`"),
}
REDIS_TLS: Final[Fields[TlsFiles]] = Fields("redis_tls", _FILES, _tls)
KAFKA: Final[Fields[KafkaLogin]] = Fields(
    "kafka",
    {
        "protocol": Key(Word(*KafkaProtocol), "as Kafka calls it (PLAINTEXT)"),
        **_FILES,
        "mechanism": Key(Word(*MECHANISMS), "how it logs in, for the protocols of SASL"),
        "user": Key(Fillable("login"), "as whom it logs in; may be `${NAME}`"),
        "password": Key(FromEnvironment("login"), "the user's; only as `${NAME}`"),
    },
    _kafka,
)
