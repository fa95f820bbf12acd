"""The member `globals.sql`: the roles and tablespaces of a server, written and replayed.

It has three levels, each with a warning that says what is missing: with password hashes, without
them, and (managed services) only the names of the roles that the database refers to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.errors import DatabaseError, SourceFailed
from covetbackup.core.stream.base import Source

Attempt = tuple[Callable[[], bytes], str]
"""A function that returns the script, and the warning that belongs to its level ("" for none)."""

WITHOUT_PASSWORDS = "globals.sql holds no password hashes: the backup role may not read pg_authid"
NAMES_ONLY = (
    "globals.sql holds only the names of the roles that the database refers to:"
    " the server does not let the backup role read more"
)


def globals_source(attempts: Sequence[Attempt], *, warn: Callable[[str], None]) -> Source:
    """Return a source of the script of the first attempt that succeeds, once it is opened.

    `warn` gets the warning of that attempt. Raises the failure of the last one.
    """

    @contextmanager
    def opened() -> Iterator[Iterator[bytes]]:
        yield iter([_first_success(attempts, warn)])

    return opened()


def _first_success(attempts: Sequence[Attempt], warn: Callable[[str], None]) -> bytes:
    for attempt, warning in attempts[:-1]:
        try:
            script = attempt()
        except SourceFailed:
            continue
        if warning:
            warn(warning)
        return script
    attempt, warning = attempts[-1]
    warn(warning)
    return attempt()


def names_only(connection: Connection, names: Sequence[str]) -> bytes:
    """Return CREATE ROLE statements for `names`, with attributes but without passwords."""
    rows = connection.execute(
        "SELECT rolname, rolcanlogin, rolinherit, rolcreatedb, rolcreaterole FROM pg_roles"
        " WHERE rolname = ANY (%s) ORDER BY rolname",
        (list(names),),
    ).fetchall()
    lines = ["-- Roles the database refers to; memberships and passwords could not be read."]
    for name, *attributes in rows:
        words = " ".join(
            word if has else f"NO{word}" for word, has in zip(_ATTRIBUTES, attributes, strict=True)
        )
        role = sql.Identifier(name).as_string(connection)
        lines.append(f"CREATE ROLE {role} WITH {words};")
    return ("\n".join(lines) + "\n").encode()


_ATTRIBUTES = ("LOGIN", "INHERIT", "CREATEDB", "CREATEROLE")


def create_missing_roles(
    connection: Connection, script: bytes, needed: Collection[str] | None = None
) -> list[str]:
    """Create the roles of `script` that this server lacks, all or none, and return their names.

    With `needed`, only roles of these names are created. Roles that exist are left as they are,
    passwords and memberships included. Only CREATE ROLE, ALTER ROLE, COMMENT ON ROLE and GRANT of
    memberships are run: a script from a backup is not trusted with more. Raises `DatabaseError`.
    """
    existing = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles")}
    created: list[str] = []
    with connection.transaction():
        for words in _statements(script.decode()):
            role = _role_changed(words)
            if role is None or role in existing:
                continue
            if needed is not None and role not in needed:
                continue
            if words[0] == "GRANT" and _name(words[1]) not in {*existing, *created}:
                continue  # the group is not needed: its members own their objects without it
            _run(connection, words, role)
            if words[0] == "CREATE":
                created.append(role)
    return created


def drop_roles(connection: Connection, names: Sequence[str]) -> None:
    """Undo `create_missing_roles`; nothing may depend on the roles any more."""
    for name in names:
        connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))


_WORD = re.compile(
    r"""--[^\n]* | \s+ | [Ee]'(?:[^'\\]|\\.|'')*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | \w+ | .""",
    re.DOTALL | re.VERBOSE,
)


def _statements(script: str) -> Iterator[list[str]]:
    """Yield the words of each statement without comments and psql commands (`\\restrict`)."""
    words: list[str] = []
    lines_for_psql = re.compile(r"^\\.*$", re.MULTILINE)
    for match in _WORD.finditer(lines_for_psql.sub("", script)):
        word = match[0]
        if word == ";":
            yield words
            words = []
        elif not word.isspace() and not word.startswith("--"):
            words.append(word)


def _role_changed(words: Sequence[str]) -> str | None:
    """Return the role that a statement creates or changes, None for one that is not run."""
    match words:
        case ["CREATE", "ROLE", name, *_]:
            return _name(name)
        case ["ALTER", "ROLE", _, "IN", *_]:
            return None
        case ["ALTER", "ROLE", name, *_]:
            return _name(name)
        case ["COMMENT", "ON", "ROLE", name, *_]:
            return _name(name)
        case ["GRANT", _, "TO", name, *_]:
            return _name(name)
    return None


def _name(word: str) -> str:
    return word[1:-1].replace('""', '"') if word.startswith('"') else word


def _run(connection: Connection, words: Sequence[str], role: str) -> None:
    # The grantor may not exist here, and a membership is the same whatever role granted it.
    until = list(words).index("GRANTED") if "GRANTED" in words else len(words)
    try:
        connection.execute(" ".join(words[:until]).encode())
    except psycopg.Error as error:
        # Not the server's text: it may quote the statement, and that holds a password hash.
        code = error.sqlstate or "unknown"
        raise DatabaseError(f"cannot create the role {role!r} (SQLSTATE {code})") from None
