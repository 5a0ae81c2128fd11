"""The brokers of a cluster, as every client of them is told: where they are, encryption, and who logs in.

Owns these options, and the words for a broker that does not take this client. Must not know what is written or read.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from connectors.tls import tls_context
from engine.ports import AwayError, StoreError

if TYPE_CHECKING:
    from engine.settings import ClusterSettings

#: A broker that is asked why it does not take this client may take so long.
_ASK_MS = 5_000


class Brokers:
    """The bootstrap servers and the login. Raises `StoreError` when a file of it cannot be used."""

    def __init__(self, cluster: ClusterSettings) -> None:
        login = cluster.kafka
        self.servers = list(cluster.brokers)
        self.login = login
        self.tls = tls_context(login.tls, "cluster.kafka") if login.protocol.is_encrypted else None

    @property
    def options(self) -> dict[str, Any]:
        """What a client of aiokafka is made with."""
        return {"bootstrap_servers": self.servers, **self._login()}

    async def why_not(self) -> StoreError:
        """Why no broker takes this client, in words and with the setting to look at: `AwayError` if none answers."""
        found = ""
        for server in self.servers:
            host, _, port = server.rpartition(":")
            try:
                connection = await create_conn(host.strip("[]"), int(port), request_timeout_ms=_ASK_MS, **self._login())
            except (SaslAuthenticationFailed, IllegalSaslStateError, UnsupportedSaslMechanismError) as error:
                return StoreError(self._refused(server, error))
            except ssl.SSLCertVerificationError as error:
                return StoreError(
                    f"the certificate of `{server}` is not trusted: {error.verify_message}, see `cluster.kafka.ca` and"
                    " the names in the certificate"
                )
            except (KafkaError, OSError, TimeoutError) as error:
                found = found or f"{type(error).__name__}: {error}".rstrip(": ")
            else:
                connection.close()
                return AwayError(f"`{server}` answers, but tells of no broker that does")
        asks = "" if self.login.protocol.is_encrypted else " or does it ask for TLS, see `cluster.kafka.protocol`"
        return AwayError(f"no broker answers at `{','.join(self.servers)}`, see `cluster.brokers`{asks}: {found}")

    def _login(self) -> dict[str, Any]:
        login = self.login
        options: dict[str, Any] = {"security_protocol": login.protocol.value, "ssl_context": self.tls}
        if login.protocol.logs_in:
            options |= {
                "sasl_mechanism": login.mechanism,
                "sasl_plain_username": login.user,
                "sasl_plain_password": login.password,
            }
        return options

    def _refused(self, server: str, error: KafkaError) -> str:
        if isinstance(error, SaslAuthenticationFailed):
            return (
                f"`{server}` refuses the login of `{self.login.user}` by {self.login.mechanism}, see"
                " `cluster.kafka.user` and the variable that `cluster.kafka.password` names"
            )
        return f"`{server}` takes no login by {self.login.mechanism}, see `cluster.kafka.mechanism`: {error}"
