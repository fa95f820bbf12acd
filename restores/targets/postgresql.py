"""A PostgreSQL server as the target of a restore."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from datetime import datetime

from backups.engine_factory import connection_settings, server_password, target_on
from backups.models import Server
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.postgresql.restore import scratch
from covetbackup.core.databases.postgresql.server.connection import Connection, translated
from covetbackup.core.errors import BadSetting, CovetError, TargetNotEmpty
from restores.targets import postgresql_adding, postgresql_exchange
from restores.targets.base import Question, Switch, TargetKind, Wanted
from restores.targets.postgresql_catalog import refuse_catalog
from restores.targets.postgresql_connection import maintenance
from restores.targets.postgresql_fitness import answer, fitness, narrowed, writable
from restores.targets.postgresql_rights import rights
from restores.targets.postgresql_room import room
from restores.targets.postgresql_unread import lost

_NAME_BYTES = 63


def _refuse_name(server: Server, name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise BadSetting("the new database needs a name of visible characters")
    if len(name.encode()) > _NAME_BYTES:
        raise BadSetting(f"the database name {name[:80]!r} is longer than {_NAME_BYTES} bytes")
    if name.startswith(scratch.PREFIX):
        raise BadSetting(
            f"names that begin with {scratch.PREFIX} are those of unfinished restores",
            "choose another name",
        )


def _refuse_owner(owner: str) -> None:
    if len(owner.encode()) > _NAME_BYTES:
        raise BadSetting(f"the role name {owner[:80]!r} is longer than {_NAME_BYTES} bytes")


def _joined_name(name: str, addition: str) -> str:
    room = _NAME_BYTES - len(addition.encode())
    return name.encode()[:room].decode(errors="ignore") + addition


def _look(wanted: Wanted) -> list[Check]:
    wanted = narrowed(wanted)
    try:
        with maintenance(wanted.server) as connection:
            return [
                answer(connection, wanted.server),
                writable(connection),
                *fitness(connection, wanted),
                *_name(connection, wanted),
                *rights(connection, wanted),
                *room(connection, wanted),
                *lost(connection, wanted),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _name(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    if wanted.replaces:
        yield from postgresql_exchange.checks(connection, wanted)
        return
    try:
        scratch.refuse_taken(connection, wanted.name)
    except CovetError as error:
        yield failed("Name", error)
    else:
        yield Check(Level.PASS, "Name", f"{wanted.name} does not exist yet.")


def _is_free(server: Server, name: str) -> bool:
    with maintenance(server) as connection:
        try:
            scratch.refuse_taken(connection, name)
        except TargetNotEmpty:
            return False
        return True


def _sweep(server: Server, before: datetime, say: Callable[[str], None]) -> list[str]:
    settings = connection_settings(server, server.maintenance_database or "postgres")
    with translated(settings):
        return scratch.sweep_scratch(settings, before, server_password(server), say=say)


def _command(server: Server, name: str) -> str:
    return shlex.join(["psql", target_on(server, name)])


_SKIP_FAILING = Switch(
    "skip_failing",
    "--skip-failing",
    "Leave out what the server refuses to create",
    "An index, view, trigger or the like that fails is left out and listed in the result; tables "
    "and rows never are.",
)


_LEAVE_OUT_SCHEDULER = Switch(
    "leave_out_scheduler",
    "--leave-out-scheduler",
    "Leave out pg_cron",
    "Its jobs are stored as rows in schema left_out_cron and do not run. Otherwise pg_cron is "
    "created again if the restored database is the one that cron.database_name names.",
    extension="pg_cron",
)


def _options(owner: str, creates_roles: bool) -> dict[str, object]:
    return {"owner": owner, "globals": creates_roles}


KIND = TargetKind(
    has_owners=True,
    creates_roles=Question(
        "Create missing roles",
        "With their passwords, if the backup holds them. Existing roles are not changed.",
    ),
    selects=True,
    refuse_name=_refuse_name,
    refuse_owner=_refuse_owner,
    joined_name=_joined_name,
    look=_look,
    is_free=_is_free,
    sweep=_sweep,
    command=_command,
    options=_options,
    exchange=postgresql_exchange.EXCHANGE,
    adding=postgresql_adding.ADDING,
    has_schemas=True,
    has_superusers=True,
    switches=(_SKIP_FAILING, _LEAVE_OUT_SCHEDULER),
    refuse_catalog=refuse_catalog,
)
