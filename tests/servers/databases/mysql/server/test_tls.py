"""Encrypted connections: driver and programs alike, and none where one is demanded in vain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.connection import connect
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.errors import DatabaseUnavailable
from tests.support.mariadb import MysqlServer, create_database
from tests.support.mariadb_backup import fresh_name, put_back, take
from tests.support.mariadb_server import mariadb_installed, run_mariadb
from tests.support.paths import open_to_other_users
from tests.support.postgres_tls import Authority

_USER = "demanding"  # may not log in without TLS


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem has signed server.pem, which is made out to 127.0.0.1; other.pem has not."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority.new("authority")
    certificate, key = authority.certify("127.0.0.1")
    (folder / "ca.pem").write_text(authority.pem())
    (folder / "other.pem").write_text(Authority.new("other").pem())
    (folder / "server.pem").write_bytes(certificate)
    (folder / "server.key").write_bytes(key)
    for path in folder.iterdir():
        path.chmod(0o644)  # the server runs as another user; this key guards nothing
    open_to_other_users(folder)
    return folder


@pytest.fixture(scope="module")
def tls_server(certificates: Path) -> Iterator[MysqlServer]:
    if not mariadb_installed():
        pytest.skip("no MariaDB server is installed")
    settings = (
        f"ssl-ca = {certificates}/ca.pem\nssl-cert = {certificates}/server.pem\n"
        f"ssl-key = {certificates}/server.key\n"
    )
    with run_mariadb(settings) as server:
        server.execute(
            None,
            f"CREATE USER {_USER} IDENTIFIED BY '{server.password.reveal()}' REQUIRE SSL",
            f"GRANT ALL ON *.* TO {_USER}",
        )
        create_database(server, "sealed")
        server.execute("sealed", "CREATE TABLE t AS SELECT 1 AS one")
        yield server


@pytest.mark.parametrize("mode", ["prefer", "require", "verify-ca", "verify-full"])
def test_driver_and_programs_are_encrypted(
    tls_server: MysqlServer, certificates: Path, mode: str
) -> None:
    query = f"?sslmode={mode}"
    query += f"&sslrootcert={certificates}/ca.pem" if mode.startswith("verify") else ""
    engine = MysqlEngine(parse_url(tls_server.url("sealed", _USER) + query), tls_server.password)
    copy = fresh_name()
    put_back(engine, take(engine), tls_server.url(copy, _USER) + query)
    assert tls_server.rows(copy, "SELECT one FROM t") == [(1,)]


@pytest.mark.parametrize("mode", ["verify-ca", "verify-full"])
def test_a_certificate_of_another_authority_is_refused(
    tls_server: MysqlServer, certificates: Path, mode: str
) -> None:
    query = f"?sslmode={mode}&sslrootcert={certificates}/other.pem"
    engine = MysqlEngine(parse_url(tls_server.url("sealed", _USER) + query), tls_server.password)
    with pytest.raises(DatabaseUnavailable):
        engine.probe()


def test_a_name_that_is_not_the_certificates_is_refused_where_it_is_looked_at(
    tls_server: MysqlServer, certificates: Path
) -> None:
    url = tls_server.url("sealed", _USER).replace("127.0.0.1", "localhost")
    for mode, refused in (("verify-ca", False), ("verify-full", True)):
        settings = parse_url(f"{url}?sslmode={mode}&sslrootcert={certificates}/ca.pem")
        if not refused:
            connect(settings, tls_server.password).close()
            continue
        with pytest.raises(DatabaseUnavailable):
            connect(settings, tls_server.password)


def test_encryption_is_never_given_up_where_it_is_demanded(mariadb_server: MysqlServer) -> None:
    """The server offers none."""
    url = mariadb_server.url("mysql_") + "?sslmode=require"
    with pytest.raises(DatabaseUnavailable, match="SSL"):
        connect(parse_url(url), mariadb_server.password)
    connect(parse_url(url.replace("require", "prefer")), mariadb_server.password).close()
