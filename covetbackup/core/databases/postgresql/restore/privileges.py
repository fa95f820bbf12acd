"""Checks whether the server's role may create the database and give it to its owners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import sql

from covetbackup.core.databases.checks import Check, Level, join_names
from covetbackup.core.databases.postgresql.restore.check_server import SKIP_FAILING, is_superuser
from covetbackup.core.databases.postgresql.restore.superuser_objects import untrusted_extensions
from covetbackup.core.databases.postgresql.server.connection import Connection
from covetbackup.core.databases.restore import PlannedRestore

_SELF = "SELECT rolname, rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user"
_NOT_MEMBER = """
SELECT rolname FROM pg_roles
WHERE rolname = ANY (%s) AND NOT pg_has_role(current_user, oid, 'MEMBER') ORDER BY rolname
"""
_SHOWN = 20


def privileges(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield a check for each privilege that is needed; a superuser has them all."""
    row = connection.execute(_SELF).fetchone()
    assert row is not None
    role, has_all, may_create = row
    if has_all:
        detail = f"{role} is a superuser: whatever the backup holds runs with all rights."
        yield Check(Level.PASS, "Privileges", detail)
        return
    if may_create:
        yield Check(Level.PASS, "Privileges", f"{role} may create databases.")
    else:
        fix = _text("ALTER ROLE {} CREATEDB;", connection, [role])
        yield Check(Level.FAIL, "Privileges", f"{role} may not create databases.", fix)
    yield from _ownership(connection, planned, role)
    yield from superuser_only(connection, planned)


def _ownership(connection: Connection, planned: PlannedRestore, role: str) -> Iterator[Check]:
    """Check memberships in owners, without which a role cannot give objects away.

    The database's own owner is needed always, other roles only if they own something, which the
    inventory does not tell from being granted something.
    """
    if planned.request.owner == "none":
        return
    owner = (planned.expected.settings or {}).get("owner", "")
    certain = [owner] if planned.request.owner == "keep" else [planned.request.owner]
    foreign = _names(connection, _NOT_MEMBER, certain)
    if foreign:
        yield Check(
            Level.FAIL,
            "Ownership",
            f"{role} is no member of {', '.join(foreign)} and cannot give it the database.",
            _text("GRANT {1} TO {0}; or restore with owner “none”.", connection, [role, *foreign]),
        )
    possible = planned.expected.roles if planned.request.owner == "keep" else ()
    others = sorted(set(_names(connection, _NOT_MEMBER, possible)) - set(foreign))
    if others:
        detail = f"{role} is no member of {', '.join(others)}; if they own objects it must be."
        fix = f"Grant {role} membership in them, or restore with owner “none”."
        yield Check(Level.WARNING, "Ownership", detail, fix)


def superuser_only(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Warn of what most servers let only superusers create.

    The restore tries it on the server itself, before it loads rows.
    """
    if is_superuser(connection):
        return
    extensions = untrusted_extensions(connection, planned.expected.extensions)
    names = [*(f"extension {name}" for name in extensions), *planned.privileged]
    if not names:
        return
    detail = f"On most servers only a superuser may create {join_names(names, _SHOWN)}."
    if SKIP_FAILING in planned.request.options:
        fix = "What the server refuses is left out, unless rows need it."
    elif planned.request.is_in_place:
        fix = "Restore with a superuser's server entry."
    else:
        fix = "Restore with a superuser's server entry, or leave out what the server refuses."
    yield Check(Level.WARNING, "Superuser", detail, fix)


def _names(connection: Connection, query: str, names: Sequence[str]) -> list[str]:
    return [name for (name,) in connection.execute(query, (list(names),)).fetchall()]


def _text(template: str, connection: Connection, names: Sequence[str]) -> str:
    quoted = map(sql.Identifier, names)
    return sql.SQL(template).format(*quoted).as_string(connection)
