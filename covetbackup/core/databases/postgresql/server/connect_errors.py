"""Why a connection could not be had, in words: the cause, what to try, the driver's own text.

libpq tells causes by text alone, so they are known by a piece of it. An unknown text is passed on
as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from covetbackup.core.errors import CovetError, DatabaseUnavailable, LoginRefused, ServerBusy


@dataclass(frozen=True, slots=True)
class Cause:
    """`mark` is in the driver's text; `cause` and `hint` may name {host}, {port}, {user} and
    {database}. The server `answered` unless nothing of it was reached."""

    mark: str
    cause: str
    hint: str
    answered: bool = True


CAUSES = (
    Cause(
        "password authentication failed",
        "the server refuses the password of the role {user!r}",
        "is the password right (at a shell: --password-file the right file), and the role's name?",
    ),
    Cause(
        "no password supplied",
        "the server asks the role {user!r} for a password, and none was given",
        "give the role's password (at a shell: --password-file)",
    ),
    Cause(
        "pg_hba.conf",
        "the server does not let the role {user!r} in from this machine",
        "add a line for this machine, role and database to pg_hba.conf, then run "
        "SELECT pg_reload_conf(); a line that says hostssl needs an encrypted connection",
    ),
    Cause(
        'role "',
        "the server has no role {user!r} that may log in",
        "is the role's name right? else: CREATE ROLE … LOGIN",
    ),
    Cause(
        'database "',
        "the server has no database {database!r} that may be connected to",
        "is its name right, and may the role connect to it?",
    ),
    Cause(
        "root certificate file",
        "no certificate authority is known by which {host} could be judged",
        "give the certificate of the authority that signed the server's, "
        "or choose an encryption that does not verify",
    ),
    Cause(
        "does not match host name",
        "the certificate of the server is for another name than {host!r}",
        "write the host as it stands in the certificate, or verify the authority only",
    ),
    Cause(
        "certificate verify failed",
        "the certificate of {host} is not signed by the authority that is trusted",
        "is the authority's certificate the right one, and the server's not expired?",
    ),
    Cause(
        "does not support SSL",
        "the server offers no encrypted connections",
        "turn ssl on in postgresql.conf, or choose an encryption that may be left out",
    ),
    Cause(
        "invalid response to SSL negotiation",
        "what answers on port {port} is no PostgreSQL server",
        "is the port right?",
    ),
    Cause(
        "expected authentication request",
        "what answers on port {port} is no PostgreSQL server",
        "is the port right?",
    ),
    Cause(
        "server closed the connection unexpectedly",
        "what answers on port {port} hangs up at once",
        "is the port that of a PostgreSQL server, and its log free of crashes?",
    ),
    Cause(
        "is starting up",
        "the server is starting up",
        "try again in a moment",
        answered=False,
    ),
    Cause(
        "is shutting down",
        "the server is shutting down",
        "start it again",
        answered=False,
    ),
    Cause(
        "refused",
        "nothing listens on {host}, port {port}",
        "is the server running, the port right, and the address in its listen_addresses?",
        answered=False,
    ),
    Cause(
        "No such file",
        "there is no socket of a server in {host}",
        "is the server running, and this its socket directory?",
        answered=False,
    ),
    Cause(
        "resolve host",
        "no machine is called {host!r}",
        "is the host name right?",
        answered=False,
    ),
    Cause(
        "timeout",
        "{host} does not answer on port {port}",
        "is the host reachable from here, or does a firewall drop packets?",
        answered=False,
    ),
    Cause(
        "unreachable",
        "no route leads to {host}",
        "is the address right, and the network up?",
        answered=False,
    ),
    Cause(
        "No route to host",
        "no route leads to {host}",
        "is the address right, and the network up?",
        answered=False,
    ),
)
_BUSY = ("too many clients", "remaining connection slots", "too many connections for")


def refusal(text: str, *, host: str, port: int, user: str, database: str) -> CovetError:
    """The error that says why there is no connection; `text` is the driver's."""
    reason = " ".join(text.split()).removeprefix("connection failed: ")
    subject = f"cannot connect to {database!r} on {host}:{port}"
    if any(mark in reason for mark in _BUSY):
        return ServerBusy(f"{subject}: all connections are taken", "raise max_connections?", reason)
    known = next((cause for cause in CAUSES if cause.mark in reason), None)
    if known is None:
        return DatabaseUnavailable(f"{subject}: {reason}")
    names = {"host": host, "port": port, "user": user, "database": database}
    kind = LoginRefused if known.answered else DatabaseUnavailable
    message = f"{subject}: {known.cause.format(**names)}"
    return kind(message, known.hint.format(**names), reason)
