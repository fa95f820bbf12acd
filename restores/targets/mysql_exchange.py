"""Replacing databases of MySQL and MariaDB: the engine's own functions, and checks before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

from backups.engine_factory import server_password
from backups.models import Server
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.mysql.inventory.tables import list_tables
from covetbackup.core.databases.mysql.replace import retained, swap
from covetbackup.core.databases.mysql.server.connection import Connection, connect
from covetbackup.core.errors import CovetError
from covetbackup.core.text import size_text
from restores.targets.base import Exchange, Wanted
from restores.targets.connected import over
from restores.targets.mysql_connection import on_server


def checks(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    """Whether what is there can be replaced, and whom that would meet."""
    name = wanted.name
    try:
        retained.refuse_unfit(connection, name)
        retained.refuse_stationary(wanted.expected)
    except CovetError as error:
        yield failed("Name", error)
        return
    kept = retained.free_kept_name(connection, name, _now_of(connection))
    much = size_text(list_tables(connection, name).size_bytes)
    detail = f"{name} exists ({much}); it will be retained as {kept}, or later."
    yield Check(Level.PASS, "Name", detail)
    yield _live_sessions(connection, name)


def _live_sessions(connection: Connection, name: str) -> Check:
    count = len(retained.sessions_in(connection, name))
    if not count:
        return Check(Level.PASS, "Live sessions", f"No visible session is using {name}.")
    detail = (
        f"{count} session{'s are' if count > 1 else ' is'} using {name}. They wait for the swap,"
        " and then go on with the restored tables; an open transaction can hold it off."
    )
    return Check(Level.WARNING, "Live sessions", detail, "Stop the applications first if possible.")


def _now_of(connection: Connection) -> datetime:
    moment: datetime = connection.value("SELECT UTC_TIMESTAMP()")
    return moment.replace(tzinfo=UTC)


recover = over(on_server, swap.recover)
"""Undo or finish what died while it replaced a database there."""

_identity = over(on_server, retained.identity_of)


def _swap(server: Server, target: str, incoming: str, retained_as: str) -> list[str]:
    with on_server(server) as connection:
        another = partial(connect, connection.settings, server_password(server))
        return swap.exchange(
            connection, another, target=target, incoming=incoming, retained_as=retained_as
        )


def _was_swapped(server: Server, target: str, retained_as: str) -> bool:
    recover(server)
    return _identity(server, retained_as) is not None


EXCHANGE = Exchange(
    refuse_unfit=over(on_server, retained.refuse_unfit),
    sessions=over(on_server, retained.sessions_in),
    identity=_identity,
    name_of=over(on_server, retained.name_of),
    free_name=over(on_server, retained.free_kept_name),
    swap=_swap,
    was_swapped=_was_swapped,
    drop=over(on_server, retained.drop_kept),
)
