"""Certificates for a private PostgreSQL server: its authority, and one that signed nothing."""

from __future__ import annotations

import ipaddress
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.postgres_server import PostgresServer


@dataclass(frozen=True, slots=True)
class Authority:
    """`pem` is its certificate."""

    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def new(cls, name: str) -> Authority:
        title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        return cls(ec.generate_private_key(ec.SECP256R1()), title)

    def pem(self, *, days: int = 30) -> str:
        signed = self._signed(self.name, self.key, days, x509.BasicConstraints(True, None))
        return signed.decode()

    def certify(self, address: str) -> tuple[bytes, bytes]:
        """Certificate and key, in PEM, of a server at the IP address."""
        key = ec.generate_private_key(ec.SECP256R1())
        title = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, address)])
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))])
        private = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return self._signed(title, key, 30, names), private

    def _signed(
        self,
        title: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        days: int,
        extension: x509.ExtensionType,
    ) -> bytes:
        end = datetime.now(UTC) + timedelta(days=days)
        builder = x509.CertificateBuilder(self.name, title, key.public_key())
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(end - timedelta(days=60)).not_valid_after(end)
        builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@contextmanager
def encrypted(server: PostgresServer, authority: Authority) -> Iterator[None]:
    """Inside, the server offers TLS with a certificate for 127.0.0.1."""
    certificate, key = authority.certify("127.0.0.1")
    for name, content in (("server.crt", certificate), ("server.key", key)):
        _place(server.directory / "data" / name, content)
    _set(server, "on")
    try:
        yield
    finally:
        _set(server, "off")


def _place(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)
    owner = path.parent.stat()
    shutil.chown(path, owner.st_uid, owner.st_gid)


def _set(server: PostgresServer, value: str) -> None:
    server.execute("postgres", f"ALTER SYSTEM SET ssl = {value}", "SELECT pg_reload_conf()")
    # The reload is done by the postmaster in its own time.
    while server.rows("postgres", "SHOW ssl") != [(value,)]:
        pass
