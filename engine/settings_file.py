"""Reading `nearcast.yaml` into `Settings`, and filling in what it leaves to the environment.

Owns what of the settings must go together. Must not know how a key is written, nor read the environment itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.detection_block import DetectionBlock
from engine.fillable import VARIABLE, fault_of
from engine.listen import is_loopback
from engine.settings import (
    SETTINGS_FILE,
    ChannelSettings,
    ClusterSettings,
    ConsoleSettings,
    FileSettings,
    Keep,
    Keys,
    LogLevel,
    PingLimits,
    Settings,
    TlsFiles,
    Variable,
    WebhookSettings,
)
from engine.settings_shapes import KEYS
from geo.mistake import Mistake
from rules.reader import read_documents
from rules.shapes import Desk, Fields, Record

if TYPE_CHECKING:
    from collections.abc import Mapping

_STORE = re.compile(
    r"""^store:[ \t]+(?P<quote>['"]?)(?P<path>[^'"#\r\n]+?)(?P=quote)[ \t]*(?:#.*)?\r?$""", re.MULTILINE
)


def read_settings(text: str | bytes, *, file: str = SETTINGS_FILE) -> tuple[Settings, list[Mistake]]:
    """The settings that a file says, and all its mistakes, in order. What has a mistake keeps its default.

    >>> settings, _ = read_settings("listen: '[::1]:9000'")
    >>> settings.host, settings.port
    ('::1', 9000)
    >>> print(read_settings("timezon: UTC")[1][0])
    nearcast.yaml:1:1: `timezon` is not a known key, did you mean `timezone`?
    """
    documents, mistakes = read_documents(text, file=file)
    desk = Desk(mistakes)
    if len(documents) > 1:
        desk.wrong(documents[1], "the settings are one document", "take out the `---`")
    records: list[Record] = []
    if documents:
        Fields("the settings", KEYS, records.append, always=True).read(documents[0], desk)
    if not records:
        return Settings(store=_store_said(text)), sorted(desk.mistakes)
    settings = replace(_settings(records[0]), variables=_variables(desk))
    _check_keys(records[0], settings)
    return settings, sorted(desk.mistakes)


def _store_said(text: str | bytes) -> str:
    """Where a file that cannot be read as YAML says that the store is: the version that is kept there may run.

    >>> read_settings("store: data/x.db  # on the fast disk\\nlisten: [[[")[0].store
    'data/x.db'
    """
    plain = text if isinstance(text, str) else text.decode(errors="replace")
    found = _STORE.search(plain)
    return found.group("path") if found else Settings().store


def _settings(record: Record) -> Settings:
    host, port = record.get("listen", ("127.0.0.1", 8080))
    block: DetectionBlock = record.get("detection", DetectionBlock())
    return Settings(
        host=host,
        port=port,
        keys=record.get("keys", Keys()),
        timezone=record.get("timezone", "UTC"),
        store=record.get("store", Settings().store),
        detection=block.over(Settings().detection),
        ping=record.get("ping", PingLimits()),
        keep=record.get("keep", Keep()),
        channels=record.get("channels", _channels_by_name(record)),
        max_rules=record.get("metrics", 200),
        test_users=frozenset(record.get("test_users", ())),
        log_level=LogLevel(record.get("logs", "info")),
        cluster=record.get("cluster", ClusterSettings()),
    )


def _channels_by_name(record: Record) -> dict[str, ChannelSettings]:
    """Stand-ins for channels that were not understood: so that rules which name them are not at fault too."""
    node = record.node.get("channels")
    return {name: ConsoleSettings(name) for name in node.value} if node is not None and node.is_mapping else {}


def _variables(desk: Desk) -> tuple[Variable, ...]:
    return tuple(sorted(Variable(node.path, node.line, node.column) for _, node, _ in desk.noted))


def _check_keys(record: Record, settings: Settings) -> None:
    if is_loopback(settings.host) or ("keys" not in record.values and record.has("keys")):
        return
    missing = [name for name in ("ingest", "admin") if not getattr(settings.keys, name)]
    if missing:
        record.wrong(
            "listen",
            f"is open to other machines, which needs {' and '.join(missing)} keys",
            f"write `keys: {{ingest: [...], admin: [...]}}`, or listen on `127.0.0.1:{settings.port}`",
            got=record.at("listen").shown,
        )


def resolve_env(
    settings: Settings, environ: Mapping[str, str], *, file: str = SETTINGS_FILE
) -> tuple[Settings, list[Mistake]]:
    """The settings with each `${NAME}` filled in from `environ`, and a mistake for each that cannot be.

    >>> settings, _ = read_settings("keys: {admin: ['${K}']}")
    >>> resolve_env(settings, {"K": "abc"})[0].keys.admin
    ('abc',)
    >>> print(resolve_env(settings, {})[1][0])
    nearcast.yaml:1:16: `keys.admin[0]` names the variable `K`, which is not set, export K=... before the start
    """
    filler = _Filler(settings, environ, file)
    keys = Keys(
        tuple(filler.fill(f"keys.ingest[{n}]", "key", text) for n, text in enumerate(settings.keys.ingest)),
        tuple(filler.fill(f"keys.admin[{n}]", "key", text) for n, text in enumerate(settings.keys.admin)),
    )
    channels = {name: filler.channel(channel) for name, channel in settings.channels.items()}
    store = filler.fill("store", "path", settings.store)
    cluster = filler.cluster(settings.cluster)
    filler.check_apart(keys)
    filled = replace(settings, keys=keys, channels=channels, store=store, cluster=cluster, variables=())
    return filled, sorted(filler.mistakes)


class _Filler:
    """One pass over the settings: what is filled in, and what could not be."""

    def __init__(self, settings: Settings, environ: Mapping[str, str], file: str) -> None:
        self.where = {variable.path: variable for variable in settings.variables}
        self.environ = environ
        self.file = file
        self.mistakes: list[Mistake] = []

    def fill(self, path: str, kind: str, text: str) -> str:
        """The text, filled in; as it was, with a mistake, when that is not possible."""
        variable = self.where.get(path)
        if variable is None:
            return text
        missing = [name for name in VARIABLE.findall(text) if name not in self.environ]
        for name in missing:
            self._wrong(
                variable, f"names the variable `{name}`, which is not set", f"export {name}=... before the start"
            )
        if missing:
            return text
        filled = VARIABLE.sub(lambda found: self.environ[found[1]], text)
        fault = fault_of(kind, filled)
        if fault:
            self._wrong(variable, f"with `{text}` filled in {fault[0]}", fault[1])
        return filled

    def channel(self, channel: ChannelSettings) -> ChannelSettings:
        """A channel, filled in."""
        path = f"channels.{channel.name}"
        if isinstance(channel, FileSettings):
            return replace(channel, path=self.fill(f"{path}.path", "path", channel.path))
        if isinstance(channel, WebhookSettings):
            single = f"{path}.secret"
            secrets = tuple(
                self.fill(single if single in self.where else f"{path}.secrets[{n}]", "secret", secret)
                for n, secret in enumerate(channel.secrets)
            )
            return replace(channel, url=self.fill(f"{path}.url", "url", channel.url), secrets=secrets)
        return channel

    def cluster(self, cluster: ClusterSettings) -> ClusterSettings:
        """The block `cluster`, filled in."""
        login, at = cluster.kafka, "cluster.kafka"
        return replace(
            cluster,
            brokers=tuple(self.fill(f"cluster.brokers[{n}]", "broker", text) for n, text in enumerate(cluster.brokers)),
            kafka=replace(
                login,
                tls=self._tls(at, login.tls),
                user=self._maybe(f"{at}.user", "login", login.user),
                password=self._maybe(f"{at}.password", "login", login.password),
            ),
            redis=self.fill("cluster.redis", "redis", cluster.redis),
            redis_tls=self._tls("cluster.redis_tls", cluster.redis_tls),
        )

    def _tls(self, path: str, files: TlsFiles) -> TlsFiles:
        return TlsFiles(
            self._maybe(f"{path}.ca", "path", files.ca),
            self._maybe(f"{path}.certificate", "path", files.certificate),
            self._maybe(f"{path}.key", "path", files.key),
        )

    def _maybe(self, path: str, kind: str, text: str | None) -> str | None:
        return None if text is None else self.fill(path, kind, text)

    def check_apart(self, keys: Keys) -> None:
        """An ingest key is public: it must not turn out to be an admin key too."""
        for number, key in enumerate(keys.admin):
            variable = self.where.get(f"keys.admin[{number}]")
            if key in keys.ingest and variable is not None and not VARIABLE.search(key):
                self._wrong(variable, "is an ingest key too, which is public", "make another key for it")

    def _wrong(self, variable: Variable, what: str, mend: str) -> None:
        what = f"`{variable.path}` {what}"
        self.mistakes.append(Mistake(self.file, variable.line, variable.column, what, None, mend))
