"""The blocks `cluster.kafka` and `cluster.redis_tls`: what goes together, and that no password stands in a file."""

from __future__ import annotations

import pytest

from engine.settings import ClusterSettings, KafkaLogin, KafkaProtocol, TlsFiles
from engine.settings_file import read_settings, resolve_env

WHOLE = """
cluster:
  brokers: ["kafka-1:9093"]
  kafka:
    protocol: SASL_SSL
    ca: certs/ca.pem
    certificate: "${CERTS}/client.pem"
    key: "${CERTS}/client.key"
    mechanism: SCRAM-SHA-512
    user: "${KAFKA_USER}"
    password: "${KAFKA_PASSWORD}"
  redis: "rediss://n:${REDIS_PASSWORD}@redis-1:6380/0"
  redis_tls: {ca: certs/ca.pem}
"""
ENVIRONMENT = {"CERTS": "/run/certs", "KAFKA_USER": "n", "KAFKA_PASSWORD": "p w", "REDIS_PASSWORD": "x%2Fy"}


def test_a_login_is_filled_in_from_the_environment_and_in_no_repr() -> None:
    settings, mistakes = read_settings(WHOLE)
    assert mistakes == []
    filled, mistakes = resolve_env(settings, ENVIRONMENT)
    assert mistakes == []
    files = TlsFiles("certs/ca.pem", "/run/certs/client.pem", "/run/certs/client.key")
    assert filled.cluster == ClusterSettings(
        named=True,
        brokers=("kafka-1:9093",),
        kafka=KafkaLogin(KafkaProtocol.SASL_SSL, files, "SCRAM-SHA-512", "n", "p w"),
        redis="rediss://n:x%2Fy@redis-1:6380/0",
        redis_tls=TlsFiles("certs/ca.pem"),
    )
    assert "p w" not in repr(filled) and "x%2Fy" not in repr(filled)


def test_a_variable_that_is_empty_or_not_set_is_named() -> None:
    settings, _ = read_settings(WHOLE)
    _, mistakes = resolve_env(settings, ENVIRONMENT | {"KAFKA_PASSWORD": ""})
    assert [str(mistake) for mistake in mistakes] == [
        "nearcast.yaml:11:15: `cluster.kafka.password` with `${KAFKA_PASSWORD}` filled in is empty, "
        "write something or take it out"
    ]
    _, mistakes = resolve_env(settings, {})
    assert [mistake.line for mistake in mistakes] == [7, 8, 10, 11, 12]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "kafka: {protocol: SASL_SSL, user: n}",
            "`cluster.kafka.protocol` logs in, which needs `mechanism` and `password`, got `SASL_SSL`, add them",
        ),
        (
            "kafka: {protocol: SSL, mechanism: PLAIN}",
            "`cluster.kafka.mechanism` is not used with `protocol: SSL`, write `protocol: SASL_SSL`, or take it out",
        ),
        (
            "kafka: {ca: certs/ca.pem}",
            "`cluster.kafka.ca` is not used with `protocol: PLAINTEXT`, write `protocol: SSL`, or take it out",
        ),
        (
            "kafka: {protocol: SSL, key: client.key}",
            "`cluster.kafka.key` is the key of no certificate, add `certificate:`",
        ),
        (
            "kafka: {protocol: SASL_SSL, mechanism: SCRAM-SHA-1, user: n, password: '${P}'}",
            "`cluster.kafka.mechanism` is not a word that is known here, got `SCRAM-SHA-1`, did you mean "
            "`SCRAM-SHA-512`?",
        ),
        (
            "kafka: {protocol: SASL_PLAINTEXT, mechanism: PLAIN, user: n, password: secret}",
            "`cluster.kafka.password` is written out, and a site's files are kept in its store and in Redis, name a "
            "variable of the environment, `${NAME}`",
        ),
        (
            "redis: 'redis://h:6379', redis_tls: {ca: ca.pem}",
            "`cluster.redis` is not encrypted, `redis_tls` would not be used, begin it with `rediss://`",
        ),
    ],
)
def test_what_does_not_go_together_is_told(text: str, line: str) -> None:
    (mistake,) = read_settings(f"cluster: {{{text}}}")[1]
    assert str(mistake).partition(": ")[2] == line
