"""The checks of a MySQL or MariaDB server before a database is created or replaced there.

What the engine itself refuses is asked with the engine's own functions, so that a check and the
restore after it cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator

from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.mysql.backup.privileges import account_of, granted
from covetbackup.core.databases.mysql.inventory import references, requirements
from covetbackup.core.databases.mysql.replace import checks as replace_checks
from covetbackup.core.databases.mysql.restore import check_server, scratch
from covetbackup.core.databases.mysql.restore.compatibility import (
    answer,
    difference,
    disk_space,
    taken_from,
    tried,
)
from covetbackup.core.databases.mysql.server.clients import find_clients, select_clients
from covetbackup.core.databases.mysql.server.connection import (
    Connection,
    quoted,
    server_connection,
)
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.restore import PlannedRestore
from covetbackup.core.errors import CovetError, as_sentence
from covetbackup.core.stream.secret import Secret


def check_new_database(
    settings: MysqlSettings, password: Secret | None, planned: PlannedRestore
) -> list[Check]:
    """Return the checks in the order in which a restore would meet them.

    A server that does not answer is a check that failed.
    """
    try:
        with server_connection(settings, password) as connection:
            return [
                answer(connection),
                *_fitness(connection, planned),
                *_rights(connection, planned.request.database),
                *_accounts(connection, planned),
                disk_space(planned.plain_bytes),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _fitness(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    expected = planned.expected
    yield tried(
        "Version",
        taken_from(planned),
        lambda: check_server.check_requirements(connection, expected),
    )
    tables = None if planned.resolved is None else planned.resolved.tables
    for one in requirements.unmet(connection, expected, tables):
        yield Check(Level.FAIL, one.title, as_sentence(one.detail), as_sentence(one.fix))
    yield tried("Client programs", "", lambda: _tools(connection))
    if planned.request.replace:
        yield from replace_checks.check_replacement(connection, planned)
    else:
        yield tried(
            "Name",
            f"{planned.request.database} does not exist yet.",
            lambda: scratch.refuse_taken(connection, planned.request.database),
        )
    yield from _references(connection, planned)
    for risk in check_server.risks(connection, expected, planned.request):
        yield difference(risk)


def _references(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    """What the database needs of others, and what of a copy acts on the original."""
    expected, resolved = planned.expected, planned.resolved
    if references.dependencies_of(expected):
        yield tried(
            "Other databases",
            "Everything that views and defaults need from them exists.",
            lambda: references.refuse_missing_dependencies(
                connection, expected, resolved.tables if resolved else None
            ),
        )
    acting = references.acts_on_original(expected, planned.request.database)
    if acting:
        fix = (
            "Take the name out of these bodies: in the original, or in the copy before it is used."
        )
        yield Check(Level.WARNING, "Original", f"{acting[:1].upper()}{acting[1:]}.", fix)
    request = planned.request
    events = references.disabled_events(expected, request.database, replaces=request.replace)
    if events and not resolved and check_server.ENABLE_EVENTS not in request.options:
        yield Check(Level.WARNING, "Events", f"{events[:1].upper()}{events[1:]}.")


def _tools(connection: Connection) -> str:
    found = select_clients(find_clients(), connection.version)
    return f"Client {found.version} is installed."


def _rights(connection: Connection, name: str) -> Iterator[Check]:
    account = account_of(connection)
    for place, shown in ((scratch.PREFIX, "`covet\\_tmp\\_%`"), (name, quoted(name))):
        if granted(connection, place).here & {"ALL PRIVILEGES", "CREATE"}:
            continue
        detail = f"{account} may not create databases called {shown}."
        yield Check(Level.FAIL, "Privileges", detail, f"GRANT ALL ON {shown}.* TO {account};")
        return
    yield Check(Level.PASS, "Privileges", f"{account} may create databases.")


def _accounts(connection: Connection, planned: PlannedRestore) -> Iterator[Check]:
    everywhere = granted(connection, planned.request.database).everywhere
    if planned.request.create_roles and not everywhere & {"ALL PRIVILEGES", "CREATE USER"}:
        account = account_of(connection)
        detail = f"{account} may not create accounts, so missing ones are not created."
        fix = f"GRANT CREATE USER ON *.* TO {account} WITH GRANT OPTION;"
        yield Check(Level.WARNING, "Accounts", detail, fix)
