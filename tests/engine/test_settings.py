"""nearcast.yaml: every default, every mistake at its place, and nothing secret shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from engine.detection import Detection
from engine.settings import (
    ConsoleSettings,
    FileSettings,
    Keep,
    Keys,
    LogLevel,
    PingLimits,
    Settings,
    WebhookSettings,
)
from engine.settings_file import read_settings, resolve_env
from engine.settings_shapes import settings_schema
from rules.reader import read_documents

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

SPECIFIED = f"""
listen: 127.0.0.1:8080
keys: {{ingest: [], admin: []}}
timezone: UTC
store: var/nearcast.db
detection: {{}}
ping: {{max_age: 24h, max_ahead: 60s, max_body: 1MiB, max_batch: 10000, max_rate_per_device: none}}
keep: {{pings: 7d, events: 365d, decisions: 90d}}
channels:
  push: {{kind: webhook, url: "http://127.0.0.1:9000/push", secrets: ["{SECRET}"], timeout: 5s, concurrency: 64}}
  audit: {{kind: file, path: var/sent.jsonl}}
  screen: {{kind: console}}
metrics: {{max_rules: 200}}
test_users: []
logs: {{level: info}}
"""


def lines(text: str) -> list[str]:
    return [str(mistake) for mistake in read_settings(text)[1]]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n", "channels:\nkeep:\nping:\nkeys:\nlogs:\nmetrics:\n"])
def test_a_file_that_says_nothing_is_all_defaults(text: str) -> None:
    assert read_settings(text) == (Settings(), [])


def test_the_defaults_are_those_of_the_contract() -> None:
    settings, mistakes = read_settings(SPECIFIED)
    assert mistakes == []
    channels = {
        "push": WebhookSettings("push", "http://127.0.0.1:9000/push", (SECRET,), timeout_ms=5_000, concurrency=64),
        "audit": FileSettings("audit", "var/sent.jsonl"),
        "screen": ConsoleSettings("screen"),
    }
    assert settings == Settings(channels=channels)
    assert Settings() == Settings(
        host="127.0.0.1",
        port=8080,
        keys=Keys((), ()),
        timezone="UTC",
        store="var/nearcast.db",
        detection=Detection(),
        ping=PingLimits(86_400_000, 60_000, 1_048_576, 10_000, None),
        keep=Keep(7 * 86_400_000, 365 * 86_400_000, 90 * 86_400_000),
        channels={},
        max_rules=200,
        test_users=frozenset(),
        log_level=LogLevel.INFO,
    )


def test_every_setting_can_be_set() -> None:
    text = """
listen: "[::]:9000"
keys: {ingest: [i-1, i-2], admin: [a-1]}
timezone: Asia/Tokyo
store: /data/n.db
detection: {enter_fixes: 1, exit_fixes: 3, exit_after: 20s, max_accuracy: 80m, silence: 1h, max_silence: 5m}
ping: {max_age: 48h, max_ahead: 0s, max_body: 2MiB, max_batch: 5, max_rate_per_device: 2.5/s}
keep: {pings: 1d, events: 30d, decisions: 7d}
channels: {}
metrics: {max_rules: 5}
test_users: [u-1, 42]
logs: {level: debug}
"""
    settings, mistakes = read_settings(text)
    assert mistakes == []
    assert settings == Settings(
        host="::",
        port=9000,
        keys=Keys(("i-1", "i-2"), ("a-1",)),
        timezone="Asia/Tokyo",
        store="/data/n.db",
        detection=Detection(1, 3, 20_000, 80.0, 3_600_000, 300_000),
        ping=PingLimits(48 * 3_600_000, 0, 2 << 20, 5, 2.5),
        keep=Keep(86_400_000, 30 * 86_400_000, 7 * 86_400_000),
        max_rules=5,
        test_users=frozenset({"u-1", "42"}),
        log_level=LogLevel.DEBUG,
    )


def test_the_preset_is_one_fix_either_way() -> None:
    settings, mistakes = read_settings("detection: {preset: instant, silence: 1h}")
    assert mistakes == []
    assert settings.detection == Detection(enter_fixes=1, exit_fixes=1, silence_ms=3_600_000, instant=True)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("listn: x", "1:1: `listn` is not a known key, did you mean `listen`?"),
        (
            "listen: ':8080'",
            "1:9: `listen` needs an address such as `127.0.0.1:8080`, got `:8080`, write host, `:` and port",
        ),
        (
            "listen: 8080",
            "1:9: `listen` needs an address such as `127.0.0.1:8080`, got `8080`, write host, `:` and port",
        ),
        (
            "listen: 1.2.3.4:99999",
            "1:9: `listen` needs an address such as `127.0.0.1:8080`, got `1.2.3.4:99999`, write host, `:` and port",
        ),
        (
            "listen: 0.0.0.0:8080",
            "1:9: `listen` is open to other machines, which needs ingest and admin keys, got `0.0.0.0:8080`, "
            "write `keys: {ingest: [...], admin: [...]}`, or listen on `127.0.0.1:8080`",
        ),
        (
            "keys: {ingest: [k]}\nlisten: example.com:80",
            "2:9: `listen` is open to other machines, which needs admin keys, got `example.com:80`, "
            "write `keys: {ingest: [...], admin: [...]}`, or listen on `127.0.0.1:80`",
        ),
        ("ping:\n  max_age: 24", "2:12: `ping.max_age` needs a duration such as `24h`, got `24`, add a unit"),
        (
            "ping: {max_body: 10B}",
            "1:18: `ping.max_body` would refuse every ping, allow at least `1024B`",
        ),
        (
            "ping: {max_rate_per_device: 5}",
            "1:29: `ping.max_rate_per_device` needs a rate such as `10/s`, got `5`, write pings a second, or `none`",
        ),
        (
            "timezone: Asia/Tokio",
            "1:11: `timezone` needs an IANA time zone such as `Asia/Tokyo`, got `Asia/Tokio`, "
            "did you mean `Asia/Tokyo`?",
        ),
        (
            "channels:\n  push: {kind: webook, url: 'http://h/'}",
            "2:16: `channels.push.kind` is not a word that is known here, got `webook`, did you mean `webhook`?",
        ),
        (
            "channels:\n  push: {url: 'http://h/'}",
            "2:9: `channels.push` needs a `kind`, add `kind: webhook`, `file` or `console`",
        ),
        (
            "channels: {push: {kind: webhook, url: 'example.com/x'}}",
            "1:39: `channels.push.url` needs an address such as `https://example.com/push`, "
            "begin it with `https://` or `http://`",
        ),
        (
            "channels: {push: {kind: webhook, url: 'http://h/', secret: 'whsec_...'}}",
            "1:60: `channels.push.secret` needs a secret in base64, write `whsec_` and what `openssl rand -base64 32` "
            "prints",
        ),
        (
            "keys: {admin: ['${KEY']}",
            "1:16: `keys.admin[0]` holds `${` without a name and `}`, got `...`, write `${NAME}`",
        ),
        (
            "keys: {ingest: [same], admin: [same]}",
            "1:31: `keys.admin` holds an ingest key, which is public, make another key for it",
        ),
        (
            "detection: {preset: instant, enter_fixes: 3}",
            "1:43: `detection.enter_fixes` has no meaning beside `preset: instant`, take one of the two out",
        ),
        (
            "detection: {enter_fixes: 0}",
            "1:26: `detection.enter_fixes` needs a whole number from 1 to 100, got `0`",
        ),
        ("a: 1\n---\nb: 2", "1:1: `a` is not a known key, known are "),
    ],
)
def test_a_mistake_says_where_what_and_how_to_mend_it(text: str, line: str) -> None:
    assert lines(text)[0].startswith(f"nearcast.yaml:{line}")


def test_all_mistakes_come_at_once_in_order() -> None:
    text = "keep: {pings: 7}\nlisten: x\nlogs: {level: loud}\ntest_users: u-1\nmetrics: {max_rules: -1}\n"
    assert [mistake.line for mistake in read_settings(text)[1]] == [1, 2, 3, 4, 5]


def test_what_is_wrong_keeps_its_default_and_the_rest_is_read() -> None:
    settings, mistakes = read_settings("listen: x\ntimezone: Asia/Tokyo\nchannels: {push: {kind: webhook}}\n")
    assert len(mistakes) == 2
    assert (settings.port, settings.timezone, list(settings.channels)) == (8080, "Asia/Tokyo", ["push"])


def test_no_secret_is_in_a_repr_or_a_mistake() -> None:
    push = f"{{kind: webhook, url: 'http://h/s3cret', secret: '{SECRET}'}}"
    text = f"keys: {{ingest: [ingest-s3cret], admin: [admin-s3cret]}}\nchannels: {{p: {push}}}"
    settings, mistakes = read_settings(text)
    assert mistakes == []
    assert "s3cret" not in repr(settings)
    assert SECRET not in repr(settings)
    bad = "channels: {p: {kind: webhook, url: 'http://h/', secret: 'my s3cret word'}}\nkeys: {admin: ['my s3cret']}"
    assert "s3cret" not in "".join(lines(bad))


ENV_TEXT = """keys: {ingest: ["${IN}"], admin: ["a-${ADMIN}"]}
store: ${DIR}/n.db
channels:
  push: {kind: webhook, url: "https://${HOST}/push", secrets: ["${S1}", "${S2}"]}
  one: {kind: webhook, url: "https://h/", secret: "${S1}"}
  file: {kind: file, path: "${DIR}/out.jsonl"}
"""


def test_variables_stay_until_an_environment_fills_them() -> None:
    settings, mistakes = read_settings(ENV_TEXT)
    assert mistakes == []
    assert settings.keys.ingest == ("${IN}",)
    environ = {"IN": "i", "ADMIN": "b", "DIR": "/d", "HOST": "h.example", "S1": SECRET, "S2": "whsec_c2Vjb25k"}
    filled, wrong = resolve_env(settings, environ)
    assert wrong == []
    assert filled.keys == Keys(("i",), ("a-b",))
    assert filled.store == "/d/n.db"
    assert filled.channels == {
        "push": WebhookSettings("push", "https://h.example/push", (SECRET, "whsec_c2Vjb25k")),
        "one": WebhookSettings("one", "https://h/", (SECRET,)),
        "file": FileSettings("file", "/d/out.jsonl"),
    }
    assert filled.variables == ()


def test_a_missing_or_unfit_variable_is_a_mistake_at_its_place() -> None:
    settings, _ = read_settings(ENV_TEXT)
    environ = {"IN": "a-b", "ADMIN": "b", "HOST": "h h", "S1": SECRET, "S2": "not base64!"}
    _, wrong = resolve_env(settings, environ)
    assert [str(mistake) for mistake in wrong] == [
        "nearcast.yaml:1:35: `keys.admin[0]` is an ingest key too, which is public, make another key for it",
        "nearcast.yaml:2:8: `store` names the variable `DIR`, which is not set, export DIR=... before the start",
        "nearcast.yaml:4:30: `channels.push.url` with `https://${HOST}/push` filled in needs an address such as "
        "`https://example.com/push`, begin it with `https://` or `http://`",
        "nearcast.yaml:4:73: `channels.push.secrets[1]` with `${S2}` filled in needs a secret in base64, "
        "write `whsec_` and what `openssl rand -base64 32` prints",
        "nearcast.yaml:6:28: `channels.file.path` names the variable `DIR`, which is not set, "
        "export DIR=... before the start",
    ]


def test_the_schema_is_one_and_takes_what_the_reader_takes() -> None:
    schema = settings_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    plain = read_documents(SPECIFIED, file="x")[0][0].plain()
    assert list(validator.iter_errors(plain)) == []
    for text in ("listn: x", "ping: {max_age: 24}", "channels: {p: {kind: mail}}", "logs: {level: loud}"):
        assert list(validator.iter_errors(read_documents(text, file="x")[0][0].plain())), text


def test_every_key_of_the_schema_is_described() -> None:
    assert all(part.get("description") for part in settings_schema()["properties"].values())


@given(st.data())
def test_a_mutated_file_never_crashes(data: st.DataObject) -> None:
    text = bytearray(SPECIFIED.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 5))] = data.draw(st.binary(max_size=4))
    settings, mistakes = read_settings(bytes(text))
    assert isinstance(settings, Settings)
    assert all(mistake.line >= 1 and mistake.column >= 1 for mistake in mistakes)
