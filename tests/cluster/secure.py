"""A Kafka and a Redis that ask for encryption and a login, with certificates of their own authority.

Owns making the certificates (`openssl`), and these servers. Beside the safe way each listens on a plain one, for what
the tests look at. Nothing of the product is imported.
"""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.cluster.servers import Kafka, Redis, free_port

if TYPE_CHECKING:
    from pathlib import Path

USER = "nearcast"
PASSWORD = "s3cret/of:ours"


def make_certificates(folder: Path) -> None:
    """`ca.pem`, and of `server` and `client` each `.pem` with its `.key`, signed by it. Skips without `openssl`."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl not found")
    folder.mkdir(parents=True)
    of_ca = ("-subj", "/CN=ca", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    _openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *of_ca)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    for name in ("server", "client"):
        _openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
                 "-out", f"{name}.csr")  # fmt: skip
        _openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                 "-days", "2", "-extfile", "names", "-out", f"{name}.pem")  # fmt: skip


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(["openssl", *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


@dataclass
class SecureKafka(Kafka):
    """A broker that also listens to who shows a certificate and logs in by SCRAM."""

    secure_port: int = field(default_factory=free_port)
    certificates: Path = field(kw_only=True)

    @property
    def secure_brokers(self) -> str:
        return f"127.0.0.1:{self.secure_port}"

    def format_words(self) -> list[str]:
        return ["--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"]

    def _settings(self) -> str:
        both = self.certificates / "both.pem"
        both.write_text((self.certificates / "server.key").read_text() + (self.certificates / "server.pem").read_text())
        plain = super()._settings()
        for word in ("listeners=", "advertised.listeners="):
            plain = plain.replace(f"\n{word}", f"\n{word}SAFE://{self.secure_brokers},")
        return (
            plain.replace("map=", "map=SAFE:SASL_SSL,")
            + f"""inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.safe.ssl.keystore.type=PEM
listener.name.safe.ssl.keystore.location={both}
listener.name.safe.ssl.truststore.type=PEM
listener.name.safe.ssl.truststore.location={self.certificates}/ca.pem
listener.name.safe.ssl.client.auth=required
listener.name.safe.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
"""
        )


@dataclass
class SecureRedis(Redis):
    """A Redis that also listens to who comes encrypted; who logs in is `USER`."""

    secure_port: int = field(default_factory=free_port)
    certificates: Path = field(kw_only=True)

    def command(self) -> list[str]:
        of = self.certificates
        return [
            *super().command(), "--tls-port", str(self.secure_port), "--tls-cert-file", f"{of}/server.pem",
            "--tls-key-file", f"{of}/server.key", "--tls-ca-cert-file", f"{of}/ca.pem", "--tls-auth-clients", "yes",
            "--user", USER, "on", f">{PASSWORD}", "~*", "&*", "+@all",
        ]  # fmt: skip
