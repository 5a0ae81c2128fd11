"""Kafka by SASL_SSL with a client's certificate, Redis by TLS with a login: one round, and who is refused."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

from connectors.kafka_brokers import Brokers
from engine.ports import StoreError
from engine.settings import ClusterSettings, KafkaLogin, KafkaProtocol, TlsFiles
from tests.cluster.conftest import Servers, running
from tests.cluster.fleet import SHARDS, fleet_of
from tests.cluster.secure import PASSWORD, USER, SecureKafka, SecureRedis, make_certificates
from tests.cluster.servers import need_servers
from tests.live.process import command, live, nearcast
from tests.live.reckoning import IN, write_site
from tests.live.sink import sink_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = "ca: certs/ca.pem, certificate: certs/client.pem, key: certs/client.key"


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Both servers, running."""
    need_servers()
    folder = tmp_path_factory.mktemp("secure")
    make_certificates(folder / "certs")
    found = Servers(
        SecureRedis(folder / "redis", certificates=folder / "certs"),
        SecureKafka(folder / "kafka", certificates=folder / "certs"),
    )
    with running(found):
        yield found


@pytest.fixture(autouse=True)
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PASSWORD", PASSWORD)
    monkeypatch.setenv("REDIS_PASSWORD", quote(PASSWORD, safe=""))


def secure_site(folder: Path, servers: Servers, name: str, sink: str | None = None, *changes: tuple[str, str]) -> Path:
    """A site that talks to these servers; `changes` replace parts of its settings."""
    kafka, redis = servers.kafka, servers.redis
    assert isinstance(kafka, SecureKafka) and isinstance(redis, SecureRedis)
    settings = f"""cluster:
  name: {name}
  partitions: {SHARDS}
  replicas: 1
  brokers: ["{kafka.secure_brokers}"]
  kafka: {{protocol: SASL_SSL, {FILES}, mechanism: SCRAM-SHA-512, user: {USER}, password: "${{KAFKA_PASSWORD}}"}}
  redis: "rediss://{USER}:${{REDIS_PASSWORD}}@127.0.0.1:{redis.secure_port}/0"
  redis_tls: {{{FILES}}}
"""
    for before, after in changes:
        assert before in settings
        settings = settings.replace(before, after)
    site = write_site(folder / name, settings=settings, sink=sink)
    (site / "certs").symlink_to(kafka.certificates)
    return site


@live(240)
async def test_a_message_goes_its_way_where_every_connection_is_encrypted_and_logged_in(
    secure: Servers, tmp_path: Path
) -> None:
    async with sink_of() as sink:
        site = secure_site(tmp_path, secure, "secure", sink.url)
        async with fleet_of(site, secure, "secure", workers=1) as fleet:
            devices = [f"s{n}" for n in range(20)]
            await fleet.gateway.consent(devices)
            now_ms = fleet.gateway.now_ms() - 60_000
            await fleet.gateway.post(*({"device": d, "time": now_ms, **IN} for d in devices))
            await fleet.folded()
            assert sorted(a.data["device"] for a in sink.taken) == sorted(devices)
            told = await command("explain", site, "--user", "s7")
            assert (told.returncode, told.stderr) == (0, "") and "hello  entered shinjuku  sent" in told.stdout
            for member in fleet.members.values():
                assert await member.end() == 0, member.name
                assert PASSWORD not in member.log_file.read_text()


def refused(site: Path, role: str = "worker") -> str:
    """The last line of a role that must not start."""
    done = nearcast(role, site, "--listen", "127.0.0.1:0")
    assert done.returncode == 1 and "Traceback" not in done.stderr, (done.returncode, done.stderr)
    assert PASSWORD not in done.stderr and quote(PASSWORD, safe="") not in done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_wrong_password_is_told_in_a_line(secure: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = secure_site(tmp_path, secure, "wrong")
    monkeypatch.setenv("KAFKA_PASSWORD", "another")
    line = refused(site)
    assert "refuses the login of `nearcast` by SCRAM-SHA-512" in line and "`cluster.kafka.password`" in line, line
    monkeypatch.setenv("REDIS_PASSWORD", "another")
    assert "redis refuses the login that `cluster.redis` names" in (line := refused(site)), line
    monkeypatch.setenv("KAFKA_PASSWORD", "")
    line = refused(site)
    assert "`cluster.kafka.password` with `${KAFKA_PASSWORD}` filled in is empty" in line, line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("mechanism: SCRAM-SHA-512", "mechanism: PLAIN"), "takes no login by PLAIN, see `cluster.kafka.mechanism`"),
        (("SASL_SSL, ca: certs/ca.pem", "SASL_SSL, ca: certs/client.pem"), "is not trusted: "),
        (("redis_tls: {ca: certs/ca.pem", "redis_tls: {ca: certs/client.pem"), "certificate verify failed"),
    ],
)
def test_a_server_that_does_not_fit_is_named(
    secure: Servers, tmp_path: Path, change: tuple[str, str], said: str
) -> None:
    line = refused(secure_site(tmp_path, secure, "unfit", None, change))
    assert said in line, line


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (("no.pem",), "`cluster.kafka.ca`: there is no file `"),
        (("names",), "holds no certificate in PEM"),
        (("ca.pem", "client.pem", "server.key"), "do not go together"),
        (("ca.pem", "client.pem", None), "do not go together"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(secure: Servers, files: tuple[str | None, ...], said: str) -> None:
    kafka = secure.kafka
    assert isinstance(kafka, SecureKafka)
    tls = TlsFiles(*(None if file is None else str(kafka.certificates / file) for file in files))
    cluster = ClusterSettings(kafka=KafkaLogin(KafkaProtocol.SSL, tls))
    with pytest.raises(StoreError, match=re.escape(said)):
        Brokers(cluster)
