"""Checks whether a PostgreSQL server has what a backup needs: version, extensions, roles.

What a restore itself refuses is checked by the same functions, so that a check and the restore
after it cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.inventory.external_connections import (
    external_connection_notices,
)
from covetbackup.core.databases.postgresql.inventory.single_database import EXTENSIONS
from covetbackup.core.databases.postgresql.restore import check_server
from covetbackup.core.databases.postgresql.restore.after_rename import why_not
from covetbackup.core.databases.postgresql.server.clients import find_clients, select_clients
from covetbackup.core.databases.postgresql.server.connection import (
    Connection,
    PostgresSettings,
    major_of,
)
from covetbackup.core.databases.restore import OwnerPolicy, PlannedRestore, RestoreRequest
from covetbackup.core.errors import CovetError

_NO_OWNER = RestoreRequest(owner=OwnerPolicy.NONE.value)
_ANYWHERE = ("", "C", "POSIX")


def with_selection_requirements(planned: PlannedRestore) -> PlannedRestore:
    """Return `planned` with the requirements of its selection instead of those of the backup."""
    if planned.resolved is None:
        return planned
    return replace(
        planned, expected=check_server.requirements_of(planned.resolved, planned.expected)
    )


def answer_check(connection: Connection, settings: PostgresSettings) -> Check:
    """Return the check of the server that answered: it passed."""
    version = connection.info.parameter_status("server_version")
    detail = f"PostgreSQL {version} answers at {settings.host}:{settings.port}."
    return Check(Level.PASS, "Target server", detail)


def writable_check(connection: Connection) -> Check:
    """Check whether sessions of this role may write at all."""
    good = "Sessions there may write."
    return _check_of("Writable", good, lambda: check_server.refuse_read_only(connection))


def compatibility_checks(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield the checks of what a new database needs, in the order in which a restore needs it."""
    settings = planned.expected.settings or {}
    yield from requirement_checks(connection, planned)
    for line in external_connection_notices(planned.expected, planned.request.database):
        yield Check(Level.WARNING, "Reaches out", f"{line[:1].upper()}{line[1:]}.")
    yield _encoding(connection, settings)
    yield _locale(connection, settings)


def requirement_checks(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Yield the checks of what the restored objects need, whatever database they go into."""
    settings = dict(planned.expected.settings or {})
    owner = settings.pop("owner", "")
    alone = Inventory(settings=settings)
    check_requirements = check_server.check_requirements
    yield _check_of(
        "Version",
        f"The backup is of PostgreSQL {settings.get('server_version', 'an unknown version')}.",
        lambda: check_requirements(connection, alone, _NO_OWNER),
    )
    if not planned.request.has_structure:
        return
    yield _check_of("Client programs", "", lambda: _tools(connection, settings))
    yield _extensions(connection, replace(alone, extensions=planned.expected.extensions))
    yield from _schedulers(connection, planned)
    yield _roles(connection, planned, owner)
    yield _tablespaces(connection, alone)


def _check_of(title: str, good: str, act: Callable[[], str | None]) -> Check:
    """Return a passed check with what `act` returns, else `good`; failed if it raises."""
    try:
        return Check(Level.PASS, title, act() or good)
    except CovetError as error:
        return failed(title, error)


def _tools(connection: Connection, settings: dict[str, str]) -> str:
    wanted = settings.get("dump_client") or settings.get("server_version") or ""
    major = check_server.version_major(wanted) or major_of(connection)
    found = select_clients(find_clients(), major=major)
    return f"pg_restore {found.version} reads archives of version {major}."


def _extensions(connection: Connection, needed: Inventory) -> Check:
    good = _all_there(needed.extensions)
    check = _check_of(
        "Extensions", good, lambda: check_server.check_requirements(connection, needed, _NO_OWNER)
    )
    if check.level is not Level.PASS:
        return check
    recorded = json.loads((needed.settings or {}).get("extension_versions", "{}"))
    query = "SELECT name, default_version FROM pg_available_extensions WHERE name = ANY (%s)"
    here: dict[str, str] = dict(connection.execute(query, (list(needed.extensions),)).fetchall())
    other = [
        f"{name} {here[name]} instead of {recorded[name]}"
        for name in sorted(recorded.keys() & here.keys())
        if recorded[name] != here[name]
    ]
    if not other:
        return check
    fix = "Other versions often work. Install the recorded ones if the restore fails or differs."
    detail = f"This server installs {', '.join(other)}."
    return Check(Level.WARNING, "Extensions", detail, fix)


def _schedulers(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """Warn of extensions that only one database of a server can have."""
    for name in set(planned.expected.extensions) & EXTENSIONS.keys():
        reason = why_not(connection, name, planned.request.database)
        about = EXTENSIONS[name]
        if reason:
            detail = f"{name} is left out: {reason}. Its {about.content} come as a table of texts."
            fix = f"Look for them in schema {about.holding_schema} of the restored database."
            yield Check(Level.WARNING, "Scheduler", detail, fix)


def _roles(connection: Connection, planned: PlannedRestore, owner: str) -> Check:
    owned = Inventory(roles=planned.expected.roles, settings={"owner": owner})
    return _check_of(
        "Roles",
        _roles_text(connection, planned),
        lambda: check_server.check_requirements(connection, owned, planned.request),
    )


def _roles_text(connection: Connection, planned: PlannedRestore) -> str:
    if planned.request.owner == OwnerPolicy.NONE:
        return f"None needed: all will belong to {connection.info.user}."
    if planned.request.owner != OwnerPolicy.KEEP:
        return _all_there((planned.request.owner,))
    if planned.request.create_roles:
        return (
            f"Those of {', '.join(planned.expected.roles) or 'none'} that are missing are created."
        )
    return _all_there(planned.expected.roles)


def _all_there(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} available." if names else "None needed."


def _tablespaces(connection: Connection, alone: Inventory) -> Check:
    missing = check_server.missing_tablespaces(connection, alone)
    if not missing:
        return Check(Level.PASS, "Tablespaces", "None is missing.")
    detail = f"{', '.join(missing)} missing: all goes to the default tablespace."
    fix = "Create them first, if their disks matter."
    return Check(Level.WARNING, "Tablespaces", detail, fix)


def _encoding(connection: Connection, settings: dict[str, str]) -> Check:
    name = settings.get("encoding", "")
    row = connection.execute("SELECT pg_char_to_encoding(%s)", (name or "UTF8",)).fetchone()
    if row is not None and row[0] >= 0:
        return Check(Level.PASS, "Encoding", f"{name or 'That of the server'} is known there.")
    fix = "Restore to a server of the version that was backed up."
    return Check(Level.FAIL, "Encoding", f"{name} is no encoding of this server.", fix)


def _locale(connection: Connection, settings: dict[str, str]) -> Check:
    provider = settings.get("locale_provider", "libc")
    if provider == "icu":
        return _icu(connection, settings.get("locale", ""))
    names = {settings.get("collation", ""), settings.get("ctype", "")}
    known = {_normalized(name) for (name,) in connection.execute(_LOCALES)}
    missing = sorted(n for n in names if n not in _ANYWHERE and _normalized(n) not in known)
    if not missing:
        detail = f"{', '.join(sorted(filter(None, names))) or 'That of the server'} ({provider})."
        return Check(Level.PASS, "Locale", detail)
    fix = "Generate it on the server (locale-gen), then run the checks again."
    detail = f"{', '.join(missing)} is in none of its databases and collations."
    return Check(Level.WARNING, "Locale", detail, fix)


_LOCALES = """
SELECT datcollate FROM pg_database UNION SELECT datctype FROM pg_database
UNION SELECT collcollate FROM pg_collation WHERE collprovider = 'c' AND collcollate IS NOT NULL
"""


def _normalized(locale: str) -> str:
    # Systems write en_US.UTF-8 and en_US.utf8 and mean the same.
    return locale.lower().replace("-", "")


def _icu(connection: Connection, locale: str) -> Check:
    query = "SELECT 1 FROM pg_collation WHERE collprovider = 'i' LIMIT 1"
    if connection.execute(query).fetchone():
        return Check(Level.PASS, "Locale", f"{locale} by ICU, which this server has.")
    fix = "Restore to a server that is built with ICU."
    return Check(Level.FAIL, "Locale", f"{locale} needs ICU, which this server lacks.", fix)
