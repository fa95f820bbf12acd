"""Explanation of failed connections: the cause, what to try, and the driver's own text.

libpq tells causes by text alone, so they are recognised by a fragment of it. An unknown text is
passed on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from covetbackup.core.errors import CovetError, DatabaseUnavailable, LoginRefused, ServerBusy


@dataclass(frozen=True, slots=True)
class Cause:
    """A known cause, recognised by a `fragment` of the driver's text.

    `explanation` and `hint` may name {host}, {port}, {user} and {database}. The server `answered`
    unless it could not be reached or does not accept connections yet.
    """

    fragment: str
    explanation: str
    hint: str
    answered: bool = True


KNOWN_CAUSES = (
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
        "the server does not accept the role {user!r} from this machine",
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
        "no certificate authority is known that could verify {host}",
        "give the certificate of the authority that signed the server's, "
        "or select an sslmode that does not verify",
    ),
    Cause(
        "does not match host name",
        "the server's certificate is for another name than {host!r}",
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
        "turn ssl on in postgresql.conf, or select an sslmode that does not require encryption",
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
        "what answers on port {port} closes the connection at once",
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
        "there is no server socket in {host}",
        "is the server running, and this its socket directory?",
        answered=False,
    ),
    Cause(
        "resolve host",
        "the host name {host!r} cannot be resolved",
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
_ALL_CONNECTIONS_TAKEN = (
    "too many clients",
    "remaining connection slots",
    "too many connections for",
)


def explain(text: str, *, host: str, port: int, user: str, database: str) -> CovetError:
    """Return the error that explains why there is no connection; `text` is the driver's.

    It is a `ServerBusy`, a `LoginRefused` if the server answered, or a `DatabaseUnavailable`.
    """
    reason = " ".join(text.split()).removeprefix("connection failed: ")
    subject = f"cannot connect to {database!r} on {host}:{port}"
    if any(fragment in reason for fragment in _ALL_CONNECTIONS_TAKEN):
        return ServerBusy(f"{subject}: all connections are taken", "raise max_connections?", reason)
    known = next((cause for cause in KNOWN_CAUSES if cause.fragment in reason), None)
    if known is None:
        return DatabaseUnavailable(f"{subject}: {reason}")
    names = {"host": host, "port": port, "user": user, "database": database}
    kind = LoginRefused if known.answered else DatabaseUnavailable
    message = f"{subject}: {known.explanation.format(**names)}"
    return kind(message, known.hint.format(**names), reason)
