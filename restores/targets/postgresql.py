"""A PostgreSQL server as the target of a restore.

What the engine itself refuses is asked with the engine's own functions, so that a check and the
restore after it cannot disagree.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

from backups.engines import connection_settings, server_password, target_on
from backups.models import Server
from covetbackup.core.cli.terminal import size_text
from covetbackup.core.databases.base import RestoreOptions
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql import preflight, scratch
from covetbackup.core.databases.postgresql.clients import choose_clients, find_clients
from covetbackup.core.databases.postgresql.connection import (
    Connection,
    major_of,
    translated,
)
from covetbackup.core.errors import BadSetting, CovetError, TargetNotEmpty
from restores.checks import Check, Level, failed
from restores.targets.base import TargetKind, Wanted
from restores.targets.postgresql_rights import rights

_NAME_BYTES = 63
_APPLICATION = "covetbackup preflight"
_NOBODY = preflight.RestoreChoices(owner=preflight.OwnerPolicy.NONE)


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


def _joined_name(name: str, addition: str) -> str:
    room = _NAME_BYTES - len(addition.encode())
    return name.encode()[:room].decode(errors="ignore") + addition


def _look(wanted: Wanted) -> list[Check]:
    try:
        with _maintenance(wanted.server) as connection:
            return [
                _answer(connection, wanted.server),
                *_fitness(connection, wanted),
                *rights(connection, wanted),
                _room(wanted.plain_bytes),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _answer(connection: Connection, server: Server) -> Check:
    version = connection.info.parameter_status("server_version")
    detail = f"PostgreSQL {version} answers at {server.host}:{server.port}."
    return Check(Level.PASS, "Target server", detail)


def _fitness(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    expected, settings = wanted.expected, dict(wanted.expected.settings or {})
    owner = settings.pop("owner", "")
    choices = preflight.read_choices(RestoreOptions("", expected, extra={"owner": wanted.owner}))
    alone = Inventory(settings=settings)
    owned = Inventory(roles=expected.roles, settings={"owner": owner})
    unfit = preflight.refuse_unfit
    yield _tried(
        "Version",
        f"The backup is of PostgreSQL {settings.get('server_version', 'an unknown version')}.",
        lambda: unfit(connection, alone, _NOBODY),
    )
    yield _tried("Client programs", "", lambda: _tools(connection, settings))
    yield _tried(
        "Name",
        f"No database there is called {wanted.name}.",
        lambda: scratch.refuse_taken(connection, wanted.name),
    )
    yield _tried(
        "Extensions",
        _all_there(expected.extensions),
        lambda: unfit(connection, replace(alone, extensions=expected.extensions), _NOBODY),
    )
    yield _tried("Roles", _roles_text(wanted), lambda: unfit(connection, owned, choices))
    missing = preflight.missing_tablespaces(connection, alone)
    if missing:
        detail = f"{', '.join(missing)} missing: all goes to the default tablespace."
        yield Check(Level.WARNING, "Tablespaces", detail)


def _tried(title: str, good: str, act: Callable[[], str | None]) -> Check:
    """What `act` says, else `good`; the error it raises makes a failure."""
    try:
        return Check(Level.PASS, title, act() or good)
    except CovetError as error:
        return failed(title, error)


def _all_there(names: tuple[str, ...]) -> str:
    return f"{', '.join(names)} available." if names else "None needed."


def _roles_text(wanted: Wanted) -> str:
    if wanted.owner == preflight.OwnerPolicy.NONE:
        return f"None needed: all will belong to {wanted.server.user}."
    if wanted.owner == preflight.OwnerPolicy.KEEP:
        return _all_there(wanted.expected.roles)
    return _all_there((wanted.owner,))


def _tools(connection: Connection, settings: dict[str, str]) -> str:
    wanted = settings.get("dump_client") or settings.get("server_version") or ""
    major = preflight.version_major(wanted) or major_of(connection)
    found = choose_clients(find_clients(), major=major)
    return f"pg_restore {found.version} reads archives of version {major}."


def _room(plain_bytes: int | None) -> Check:
    need = f"about {size_text(plain_bytes)} and indexes" if plain_bytes else "an unknown size"
    detail = f"A server does not tell how much is free; needed is {need}."
    return Check(Level.UNKNOWN, "Disk space", detail)


def _is_free(server: Server, name: str) -> bool:
    with _maintenance(server) as connection:
        try:
            scratch.refuse_taken(connection, name)
        except TargetNotEmpty:
            return False
        return True


def _sweep(server: Server, before: datetime) -> list[str]:
    settings = connection_settings(server, server.maintenance_database or "postgres")
    with translated(settings):
        return scratch.sweep_scratch(settings, before, server_password(server))


def _command(server: Server, name: str) -> str:
    return shlex.join(["psql", target_on(server, name)])


@contextmanager
def _maintenance(server: Server) -> Iterator[Connection]:
    settings = connection_settings(server, server.maintenance_database or "postgres")
    with (
        translated(settings),
        scratch.connect_maintenance(
            settings, server_password(server), application=_APPLICATION
        ) as connection,
    ):
        yield connection


KIND = TargetKind(
    has_owners=True,
    refuse_name=_refuse_name,
    joined_name=_joined_name,
    look=_look,
    is_free=_is_free,
    sweep=_sweep,
    command=_command,
)
