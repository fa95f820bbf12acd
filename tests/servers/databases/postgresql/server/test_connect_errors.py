"""Why a real server, or what is no server, lets nobody in: cause, next step, the raw message."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.server import maintenance
from covetbackup.core.databases.postgresql.server.connect_errors import KNOWN_CAUSES
from covetbackup.core.databases.postgresql.server.connection import PostgresSettings, connect
from covetbackup.core.errors import CovetError, DatabaseUnavailable, LoginRefused
from covetbackup.core.stream.secret import Secret
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_tls import Authority, encrypted

RoleMaker = Callable[..., PostgresRole]


def refused(settings: PostgresSettings, password: Secret | None) -> CovetError:
    """The error, which has all that a page shows."""
    with pytest.raises(CovetError) as caught:
        connect(settings, password, application="test").close()
    error = caught.value
    assert error.hint and error.details, error
    assert "connection to server" not in error.message  # libpq's own words are in the details
    return error


def test_a_wrong_password(postgres_server: PostgresServer) -> None:
    error = refused(postgres_server.settings(), Secret("wrong-canary"))
    assert isinstance(error, LoginRefused)
    assert "refuses the password of the role 'postgres'" in error.message
    assert "canary" not in f"{error.message}{error.hint}{error.details}"


def test_a_missing_password(postgres_server: PostgresServer) -> None:
    assert "none was given" in refused(postgres_server.settings(), None).message


def test_a_database_that_is_not_there(postgres_server: PostgresServer) -> None:
    error = refused(postgres_server.settings("nowhere"), postgres_server.password)
    assert isinstance(error, LoginRefused) and "no database 'nowhere'" in error.message


def test_where_there_is_no_database_to_begin_with_another_is_taken(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maintenance, "MAINTENANCE_DATABASES", ("nowhere", "template1"))
    settings, password = postgres_server.settings("shop"), postgres_server.password
    with maintenance.connect_maintenance(settings, password, application="test") as connection:
        assert connection.info.dbname == "template1"
    with pytest.raises(LoginRefused, match="'nowhere'"):
        maintenance.connect_maintenance(settings, Secret("wrong"), application="test")


def test_a_role_that_may_not_log_in(
    postgres_server: PostgresServer, postgres_role: RoleMaker
) -> None:
    role = postgres_role()
    postgres_server.execute("postgres", f"ALTER ROLE {role.name} NOLOGIN")
    error = refused(postgres_server.settings(user=role.name), role.password)
    assert f"no role '{role.name}' that may log in" in error.message


def test_a_role_that_is_not_let_in_from_here(
    postgres_server: PostgresServer, postgres_role: RoleMaker
) -> None:
    role = postgres_role()
    rules = postgres_server.directory / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all {role.name} 127.0.0.1/32 reject\n{before}")
    postgres_server.execute("postgres", "SELECT pg_reload_conf()")
    try:
        error = until_refused(postgres_server.settings(user=role.name), role)
    finally:
        rules.write_text(before)
        postgres_server.execute("postgres", "SELECT pg_reload_conf()")
    assert "from this machine" in error.message and "pg_hba.conf" in error.hint


def until_refused(settings: PostgresSettings, role: PostgresRole) -> CovetError:
    """New rules hold once the server has read them."""
    while True:
        try:
            connect(settings, role.password, application="test").close()
        except CovetError as error:
            return error


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"port": 1}, "nothing listens on 127.0.0.1, port 1"),
        ({"host": "host.invalid"}, "the host name 'host.invalid' cannot be resolved"),
        ({"host": "/nonexistent"}, "no server socket"),
    ],
)
def test_nobody_there_may_be_a_passing_fault(
    postgres_server: PostgresServer, change: dict[str, object], cause: str
) -> None:
    settings = replace(postgres_server.settings(), **change)  # type: ignore[arg-type]
    error = refused(settings, postgres_server.password)
    assert isinstance(error, DatabaseUnavailable) and not isinstance(error, LoginRefused)
    assert cause in error.message


@pytest.mark.parametrize("sslmode", ["disable", "prefer"])
@pytest.mark.parametrize("greeting", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_port_where_something_else_answers(greeting: bytes, sslmode: str) -> None:
    with answering(greeting) as port:
        settings = PostgresSettings("127.0.0.1", "u", "d", port=port, sslmode=sslmode)
        error = refused(settings, Secret("x"))
    assert "what answers on port" in error.message and "port" in error.hint


@contextmanager
def answering(greeting: bytes) -> Iterator[int]:
    """Says the same to everybody who says anything, and hangs up."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            while True:
                try:
                    caller, _ = listener.accept()
                except OSError:
                    return
                with caller:
                    caller.recv(1024)
                    caller.sendall(greeting)

        threading.Thread(target=serve, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def test_no_encryption_where_it_is_required(postgres_server: PostgresServer) -> None:
    settings = replace(postgres_server.settings(), sslmode="require")
    assert "no encrypted" in refused(settings, postgres_server.password).message


def test_certificates_are_judged_and_each_fault_is_named(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    known, stranger = Authority.new("Known"), Authority.new("Stranger")
    files = {}
    for name, authority in (("known", known), ("stranger", stranger)):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_text(authority.pem())
    settings = replace(
        postgres_server.settings(), sslmode="verify-full", sslrootcert=str(files["known"])
    )
    password = postgres_server.password
    with encrypted(postgres_server, known):
        connect(settings, password, application="test").close()
        wrong = replace(settings, sslrootcert=str(files["stranger"]))
        assert "not signed by the authority" in refused(wrong, password).message
        other = replace(settings, host="localhost", address="127.0.0.1")
        assert "for another name than 'localhost'" in refused(other, password).message
        nobody = replace(settings, sslrootcert=str(tmp_path / "none.pem"))
        assert "no certificate authority is known" in refused(nobody, password).message


def test_every_cause_says_what_to_try() -> None:
    assert all(cause.hint and not cause.explanation.endswith(".") for cause in KNOWN_CAUSES)
    assert len({cause.fragment for cause in KNOWN_CAUSES}) == len(KNOWN_CAUSES)
