"""TLS towards Kafka and Redis: a context made of the files that the settings name.

Owns which file is at fault and why, in one line. The other side's certificate and name are always looked at. Must not
know who connects.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from engine.ports import StoreError

if TYPE_CHECKING:
    from engine.settings import TlsFiles


def tls_context(files: TlsFiles, setting: str) -> ssl.SSLContext:
    """What a connection is made with. `setting` names the block of the files. Raises `StoreError`."""
    for name in ("ca", "certificate", "key"):
        file = getattr(files, name)
        if file is not None and not Path(file).is_file():
            raise StoreError(f"`{setting}.{name}`: there is no file `{file}`, it is seen from the site's folder")
    try:
        context = ssl.create_default_context(cafile=files.ca)
    except (ssl.SSLError, OSError) as error:
        raise StoreError(
            f"`{setting}.ca`: `{files.ca}` holds no certificate in PEM: {_reason(error)}, begin it with `-----BEGIN"
            " CERTIFICATE-----`"
        ) from error
    if files.certificate is not None:
        try:
            context.load_cert_chain(files.certificate, files.key, password=_no_password)
        except (ssl.SSLError, OSError, ValueError) as error:
            raise StoreError(
                f"`{setting}.certificate`: `{files.certificate}` and its key `{files.key or files.certificate}` do not"
                f" go together, are no PEM, or want a password: {_reason(error)}"
            ) from error
    return context


def _no_password() -> str:
    """Nobody is asked at the terminal for a key's password."""
    return ""


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
