"""CA certificates for connections to PostgreSQL servers: stored in the catalog, passed as files.

libpq takes nothing but files. A file is named by its content's digest: it is written once, with the
same content by every process, and created anew on each machine that runs workers. Certificates are
public; nothing here is a secret.
"""

from __future__ import annotations

import hashlib
import os
import ssl
import tempfile
from datetime import datetime
from pathlib import Path

from cryptography import x509
from django.conf import settings

from backups.models import Server
from covetbackup.core.errors import BadSetting

_JUDGING = ("verify-ca", "verify-full")


def checked(text: str, *, now: datetime) -> str:
    """Return the certificates in `text`, in PEM, as they are stored. Raises `BadSetting`."""
    plain = text.strip().replace("\r\n", "\n")
    try:
        found = x509.load_pem_x509_certificates(plain.encode())
    except ValueError as error:
        raise BadSetting(
            "this is no certificate in PEM",
            "paste the whole file of the authority, from -----BEGIN CERTIFICATE----- to the end",
        ) from error
    if all(certificate.not_valid_after_utc < now for certificate in found):
        ended = max(certificate.not_valid_after_utc for certificate in found)
        raise BadSetting(
            f"the certificate of the authority expired on {ended:%Y-%m-%d}",
            "ask the administrator of the server for the one in use",
        )
    return plain + "\n"


def file_for(server: Server) -> str:
    """Return the path of the CA file for connections to `server`, "" if none is verified.

    Without one of its own, a server whose certificate is to be verified is verified by the CA
    certificates of this machine. Raises `BadSetting` when the file cannot be written.
    """
    if server.authority:
        return str(_written(server.authority))
    return _of_this_machine() if server.sslmode in _JUDGING else ""


def folder() -> Path:
    """Return the folder of the files."""
    return Path(settings.VAR_DIR) / "authorities"


def _of_this_machine() -> str:
    # libpq knows "system" only since version 16, and looks for ~/.postgresql/root.crt otherwise.
    known = ssl.get_default_verify_paths()
    return known.cafile or ""


def _written(text: str) -> Path:
    data = text.encode()
    path = folder() / f"{hashlib.sha256(data).hexdigest()}.pem"
    try:
        if not path.exists() or path.read_bytes() != data:
            folder().mkdir(mode=0o700, exist_ok=True)
            _write(path, data)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadSetting(
            f"{path} cannot be written: {reason}", "does the folder belong to this user?"
        ) from error
    return path


def _write(path: Path, data: bytes) -> None:
    """Never seen in part: several workers may write the same file at once."""
    handle, name = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
