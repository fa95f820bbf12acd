"""Checks of a server before a restore writes its first byte there."""

from __future__ import annotations

import json
from collections.abc import Mapping

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.mysql.inventory import references, requirements
from covetbackup.core.databases.mysql.inventory.objects import missing_accounts
from covetbackup.core.databases.mysql.restore import key_rules
from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.databases.mysql.server.flavour import version_of
from covetbackup.core.databases.restore import OwnerPolicy, RestoreRequest
from covetbackup.core.errors import BadSetting

ENABLE_EVENTS = "enable_events"
"""The option to let the events of a copy under another name run as they did in the original."""

SKIP_BINARY_LOG = "skip_binary_log"
"""The option to keep the restore out of the server's binary log."""

_LISTED = 10

HISTORY = "history"
"""In the settings of a backup: its dump holds the history of system-versioned tables."""

_LATER_END_OF_TIME = (11, 5)
"""Since then a row that is in force ends in 2106 and no more in 2038. Loaded there, the rows of an
older dump with history would all be history (seen with 10.11 and 11.8)."""


def refuse_options(request: RestoreRequest) -> None:
    """Raise `BadSetting` for options that MySQL has not, and an owner that is no account."""
    request.refuse_unknown_options(ENABLE_EVENTS, SKIP_BINARY_LOG)
    if request.owner_role and "@" not in request.owner_role[1:]:
        raise BadSetting(f"{request.owner!r} is no account", "write keep, none, or user@host")


def definer_of(request: RestoreRequest) -> str:
    """Return what replaces every definer in a statement, "" to keep them."""
    if request.owner_policy is OwnerPolicy.KEEP:
        return ""
    if request.owner_policy is OwnerPolicy.NONE:
        return "CURRENT_USER"
    user, _, host = request.owner_role.rpartition("@")
    return f"{quoted(user)}@{quoted(host)}"


def check_requirements(connection: Connection, expected: Inventory) -> None:
    """Raise `BadSetting` for a server that cannot take the backup.

    It is of the other flavour, older than the backup's, one that would take current rows for
    history, or one that would add keys to tables.
    """
    key_rules.set_off(connection)
    text = (expected.settings or {}).get("server_version", "")
    if not text:
        return
    source, here = version_of(text), connection.version
    if source.flavour is not here.flavour:
        raise BadSetting(
            f"the backup is of {source}, this server is {here}: their dumps are not the same SQL",
            f"restore to a server of {source.flavour}",
        )
    if source.series > here.series:
        major, minor = source.series
        raise BadSetting(
            f"the backup is of {source}, this server is {here}",
            f"restore to {source.flavour} {major}.{minor} or newer",
        )
    has_history = HISTORY in (expected.settings or {})
    if has_history and here.is_mariadb and source.series < _LATER_END_OF_TIME <= here.series:
        raise BadSetting(
            f"the backup of {source} holds system-versioned tables with their history,"
            f" which {here} reads otherwise",
            "restore to a MariaDB before 11.5 and upgrade that server",
        )


def risks(connection: Connection, expected: Inventory, request: RestoreRequest) -> list[str]:
    """Return a warning for each thing that may be different after the restore, one line each."""
    settings = expected.settings or {}
    lines = []
    keeps_owner = request.owner_policy is OwnerPolicy.KEEP
    missing = missing_accounts(connection, expected.roles) if keeps_owner else []
    if missing:
        listed = ", ".join(missing[:_LISTED])
        lines.append(
            f"missing accounts will be created, if the backup has them: {listed}"
            if request.create_roles
            else f"views and routines of missing accounts will fail when used: {listed}"
        )
    lines += [line for line in (key_rules.risk(connection),) if line]
    lines += _missing_engines(connection, settings)
    here = str(connection.value("SELECT @@global.lower_case_table_names"))
    if settings.get("lower_case_table_names", here) != here:
        lines.append("this server treats upper and lower case in table names in another way")
    packet = int(connection.value("SELECT @@global.max_allowed_packet"))
    knows_rows = requirements.WIDEST in settings
    if not knows_rows and packet < int(settings.get("max_allowed_packet", "0")):
        lines.append(f"max_allowed_packet is smaller here ({packet}): wide rows may not fit")
    return lines + references.risks(connection, expected)


def _missing_engines(connection: Connection, settings: Mapping[str, str]) -> list[str]:
    """Tables of an engine that is not there are created with another one, as the dump allows."""
    there = {str(row[0]).upper() for row in connection.rows("SHOW ENGINES") if row[1] in _USABLE}
    wanted = json.loads(settings.get("engines", "{}"))
    missing = {engine: count for engine, count in wanted.items() if engine.upper() not in there}
    if not missing:
        return []
    listed = ", ".join(f"{engine} ({count})" for engine, count in missing.items())
    return [
        f"engines of the backup are not here, so their tables get the default engine: {listed};"
        " install the engines' plugins first to keep them"
    ]


_USABLE = ("YES", "DEFAULT")
