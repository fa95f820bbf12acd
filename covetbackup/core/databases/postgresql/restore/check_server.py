"""Checks of a server before a restore writes its first byte there."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.inventory.single_database import installable
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of
from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection
from covetbackup.core.errors import BadSetting

SKIP_FAILING = "skip_failing"
"""The option to leave out statements that the server refuses and that no rows depend on."""

LEAVE_OUT_SCHEDULER = "leave_out_scheduler"
"""The option to leave out extensions that only one database of a server can have
(`single_database`), even where they could be created."""

SUPERUSER_WARNING = "restoring as a superuser: whatever the backup holds runs with all rights"


def refuse_options(request: RestoreRequest) -> None:
    """Raise `BadSetting` for options that restores of PostgreSQL do not have."""
    request.refuse_unknown_options(SKIP_FAILING, LEAVE_OUT_SCHEDULER)


def ownership_options(request: RestoreRequest) -> list[str]:
    """Return the options of pg_restore for the owner that `request` names."""
    keeps_owner = request.owner_policy is OwnerPolicy.KEEP
    options = [] if keeps_owner else ["--no-owner", "--no-privileges"]
    return [*options, f"--role={request.owner_role}"] if request.owner_role else options


def restrict_requirements(
    expected: Inventory,
    *,
    extensions: Collection[str] = (),
    roles: Collection[str] = (),
    tablespaces: Collection[str] = (),
) -> Inventory:
    """Return `expected` with only these of its requirements: those of a selection.

    The owner of the database is not among them, as a selection does not need that role.
    """
    settings = dict(expected.settings or {})
    settings.pop("owner", None)
    recorded = json.loads(settings.get("tablespaces", "[]"))
    settings["tablespaces"] = json.dumps([name for name in recorded if name in tablespaces])
    return replace(
        expected,
        extensions=tuple(name for name in expected.extensions if name in extensions),
        roles=tuple(name for name in expected.roles if name in roles),
        settings=settings,
    )


def requirements_of(resolved: ResolvedSelection, expected: Inventory) -> Inventory:
    """Return `expected` with only the requirements of the selection `resolved`."""
    return restrict_requirements(
        expected,
        extensions=resolved.extensions,
        roles=resolved.roles or (),
        tablespaces=resolved.tablespaces or (),
    )


def check_requirements(
    connection: Connection, expected: Inventory, request: RestoreRequest
) -> None:
    """Raise `BadSetting` when the server is older than the backup's, or lacks extensions or roles.

    Each that is missing is named.
    """
    _refuse_older_server(connection, expected)
    _refuse_missing_extensions(connection, installable(expected))
    needed = _roles_needed(expected, request)
    missing = sorted(needed - _names(connection, "SELECT rolname FROM pg_roles"))
    if missing:
        raise BadSetting(
            f"roles missing on this server: {', '.join(missing)}",
            "create them, let the restore create them (globals), or restore with owner none",
        )


def refuse_read_only(connection: Connection) -> None:
    """Raise `BadSetting` on a standby and for sessions that are read-only by a setting.

    The error names where it is set.
    """
    row = connection.execute(_WRITABLE).fetchone()
    assert row is not None
    is_standby, is_read_only, source, role, database = row
    if is_standby:
        raise BadSetting("the server is a standby, which is read-only", "restore to its primary")
    if is_read_only:
        fix = _READ_ONLY_BY.get(source, "set it to off for this role").format(role, database)
        raise BadSetting(
            f"sessions of role {role} are read-only here: default_transaction_read_only is on",
            f"if that is not on purpose: {fix}",
        )


_WRITABLE = """
SELECT pg_is_in_recovery(), setting = 'on', source, quote_ident(current_user),
       quote_ident(current_database())
FROM pg_settings WHERE name = 'default_transaction_read_only'
"""
_READ_ONLY_BY = {
    "user": "ALTER ROLE {0} RESET default_transaction_read_only;",
    "database": "ALTER DATABASE {1} RESET default_transaction_read_only;",
    "database user": "ALTER ROLE {0} IN DATABASE {1} RESET default_transaction_read_only;",
    "configuration file": "set it to off in the server's configuration and reload that",
}


def _refuse_older_server(connection: Connection, expected: Inventory) -> None:
    version = (expected.settings or {}).get("server_version", "")
    major = version_major(version)
    if major is not None and major > major_of(connection):
        raise BadSetting(
            f"the backup is of PostgreSQL {version}, this server is {major_of(connection)}",
            f"restore to PostgreSQL {major} or newer",
        )


def _refuse_missing_extensions(connection: Connection, needed: Iterable[str]) -> None:
    available = _names(connection, "SELECT name FROM pg_available_extensions")
    missing = sorted(set(needed) - available)
    if missing:
        raise BadSetting(
            f"extensions not installed on this server: {', '.join(missing)}",
            "install their packages on the server; nothing has been written",
        )


def _roles_needed(expected: Inventory, request: RestoreRequest) -> set[str]:
    if request.owner_role:
        return {request.owner_role}
    if request.owner_policy is OwnerPolicy.NONE or request.create_roles:
        return set()
    owner = (expected.settings or {}).get("owner")
    return {*expected.roles, *([owner] if owner else [])}


def archive_major(expected: Inventory) -> int | None:
    """Return the major version of the pg_dump that wrote the archive, None if it is not recorded.

    A pg_restore as new is needed to read it.
    """
    settings = expected.settings or {}
    names = ("dump_client", "server_version")
    majors = (version_major(settings.get(name, "")) for name in names)
    return next((major for major in majors if major is not None), None)


def missing_tablespaces(connection: Connection, expected: Inventory) -> Collection[str]:
    """Return the tablespaces that the backup's objects are in and this server lacks."""
    needed = json.loads((expected.settings or {}).get("tablespaces", "[]"))
    return sorted(set(needed) - _names(connection, "SELECT spcname FROM pg_tablespace"))


def own_tablespace(connection: Connection, expected: Inventory) -> tuple[str, str]:
    """Return the tablespace for the new database, and a note why it is not the recorded one.

    The tablespace is "" for the server's default, the note "" if it is the recorded one.
    """
    name = (expected.settings or {}).get("tablespace", "")
    if name in ("", "pg_default"):
        return "", ""
    row = connection.execute(
        "SELECT has_tablespace_privilege(spcname, 'CREATE') FROM pg_tablespace WHERE spcname = %s",
        (name,),
    ).fetchone()
    if row == (True,):
        return name, ""
    why = "is missing here" if row is None else "is not open to this role (GRANT CREATE)"
    lost = f"tablespace {name}, in which the database was, {why}: its files go to the default one"
    return "", lost


def is_superuser(connection: Connection) -> bool:
    """Return whether the role of `connection` is a superuser."""
    row = connection.execute("SELECT current_setting('is_superuser')").fetchone()
    return row == ("on",)


def version_major(version: str) -> int | None:
    """Return 15 for "15.4 (Debian 15.4-1)", 18 for "18beta1", None for what is no version."""
    match = re.match(r"\d+", version)
    return int(match[0]) if match else None


def _names(connection: Connection, query: str) -> set[str]:
    return {name for (name,) in connection.execute(query)}
