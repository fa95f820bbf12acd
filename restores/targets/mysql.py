"""A MySQL or MariaDB server as the target of a restore.

What the engine itself refuses is asked with the engine's own functions, so that a check and the
restore after it cannot disagree.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from datetime import datetime

from backups.engine_factory import mysql_settings, server_password
from backups.models import Server
from covetbackup.core.databases.base import RestoreOptions
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.mysql.backup.privileges import account_of, granted
from covetbackup.core.databases.mysql.inventory import references, requirements
from covetbackup.core.databases.mysql.restore import check_server, scratch
from covetbackup.core.databases.mysql.server.clients import choose_clients, find_clients
from covetbackup.core.databases.mysql.server.connection import Connection, quoted
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN
from covetbackup.core.errors import BadSetting, CovetError, TargetNotEmpty, as_sentence
from restores.targets import mysql_adding, mysql_exchange
from restores.targets.base import Question, Switch, TargetKind, Wanted
from restores.targets.mysql_connection import on_server
from restores.targets.mysql_fitness import answer, difference, room, taken_from, tried

_NAME_CHARACTERS = 64
_USER_CHARACTERS = 128
"""Of MariaDB; MySQL has 32, and says so itself."""
_HOST_CHARACTERS = 255


def _refuse_name(server: Server, name: str) -> None:
    if not name.strip() or not name.isprintable() or name != name.rstrip():
        raise BadSetting("the new database needs a name of visible characters")
    if len(name) > _NAME_CHARACTERS:
        raise BadSetting(f"the database name {name[:80]!r} is longer than 64 characters")
    if name.lower() in SERVERS_OWN:
        raise BadSetting(f"{name!r} belongs to the server itself", "choose another name")
    if name.startswith(scratch.PREFIX):
        raise BadSetting(
            f"names that begin with {scratch.PREFIX} are those of unfinished restores",
            "choose another name",
        )


def _refuse_owner(owner: str) -> None:
    user, _, host = owner.rpartition("@")
    if len(user) > _USER_CHARACTERS or len(host) > _HOST_CHARACTERS:
        raise BadSetting(
            f"the account {owner[:80]!r} is too long",
            f"user@host has at most {_USER_CHARACTERS} characters and {_HOST_CHARACTERS}",
        )


def _joined_name(name: str, addition: str) -> str:
    return name[: _NAME_CHARACTERS - len(addition)] + addition


def _look(wanted: Wanted) -> list[Check]:
    try:
        with on_server(wanted.server) as connection:
            return [
                answer(connection),
                *_fitness(connection, wanted),
                *_rights(connection, wanted.name),
                *_accounts(connection, wanted),
                room(wanted.plain_bytes),
            ]
    except CovetError as error:
        return [failed("Target server", error)]


def _fitness(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    expected = wanted.expected
    yield tried(
        "Version",
        taken_from(wanted),
        lambda: check_server.refuse_unfit(connection, expected),
    )
    tables = None if wanted.chosen is None else wanted.chosen.tables
    for one in requirements.unmet(connection, expected, tables):
        yield Check(Level.FAIL, one.title, as_sentence(one.detail), as_sentence(one.fix))
    yield tried("Client programs", "", lambda: _tools(connection))
    if wanted.replaces:
        yield from mysql_exchange.checks(connection, wanted)
    else:
        yield tried(
            "Name",
            f"{wanted.name} does not exist yet.",
            lambda: scratch.refuse_taken(connection, wanted.name),
        )
    yield from _references(connection, wanted)
    extra = _options(wanted.owner, wanted.creates_roles)
    choices = check_server.read_choices(RestoreOptions("", expected, extra=extra))
    for risk in check_server.risks(connection, expected, choices):
        yield difference(risk)


def _references(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    """What the database needs of others, and what of a copy acts on the original."""
    expected, chosen = wanted.expected, wanted.chosen
    if references.needs_of(expected):
        yield tried(
            "Other databases",
            "Everything that views and defaults need from them exists.",
            lambda: references.refuse_missing(
                connection, expected, chosen.tables if chosen else None
            ),
        )
    acting = references.on_the_original(expected, wanted.name)
    if acting:
        fix = (
            "Take the name out of these bodies: in the original, or in the copy before it is used."
        )
        yield Check(Level.WARNING, "Original", f"{acting[:1].upper()}{acting[1:]}.", fix)
    events = references.events_of_a_copy(expected, wanted.name, replaces=wanted.replaces)
    if events and not chosen and _ENABLE_EVENTS.name not in wanted.switches:
        yield Check(Level.WARNING, "Events", f"{events[:1].upper()}{events[1:]}.")


def _tools(connection: Connection) -> str:
    found = choose_clients(find_clients(), connection.version)
    return f"Client {found.version} is installed."


def _rights(connection: Connection, name: str) -> Iterator[Check]:
    account = account_of(connection)
    for place, shown in ((scratch.PREFIX, "`covet\\_tmp\\_%`"), (name, quoted(name))):
        if granted(connection, place).here & {"ALL PRIVILEGES", "CREATE"}:
            continue
        detail = f"{account} may not create databases called {shown}."
        yield Check(Level.FAIL, "Rights", detail, f"GRANT ALL ON {shown}.* TO {account};")
        return
    yield Check(Level.PASS, "Rights", f"{account} may create databases.")


def _accounts(connection: Connection, wanted: Wanted) -> Iterator[Check]:
    everywhere = granted(connection, wanted.name).everywhere
    if wanted.creates_roles and not everywhere & {"ALL PRIVILEGES", "CREATE USER"}:
        account = account_of(connection)
        detail = f"{account} may not create accounts, so missing ones are not created."
        fix = f"GRANT CREATE USER ON *.* TO {account} WITH GRANT OPTION;"
        yield Check(Level.WARNING, "Accounts", detail, fix)


def _is_free(server: Server, name: str) -> bool:
    with on_server(server) as connection:
        try:
            scratch.refuse_taken(connection, name)
        except TargetNotEmpty:
            return False
        return True


def _sweep(server: Server, before: datetime, say: Callable[[str], None]) -> list[str]:
    """First what died while it replaced a database: it may need its scratch database."""
    mysql_exchange.recover(server)
    return scratch.sweep_scratch(mysql_settings(server), before, server_password(server), say=say)


def _command(server: Server, name: str) -> str:
    if server.host.startswith("/"):
        place = [f"--socket={server.host}"]
    else:
        place = [f"--host={server.host}", f"--port={server.port}"]
    program = "mariadb" if "mariadb" in server.version.lower() else "mysql"
    return shlex.join([program, *place, f"--user={server.user}", "--password", name])


def _options(owner: str, creates_roles: bool) -> dict[str, object]:
    return {"owner": owner, "globals": creates_roles}


_ENABLE_EVENTS = Switch(
    "enable_events",
    "--enable-events",
    "Enable events of a copy",
    "Without this the scheduled events of a database that is restored under another name are "
    "disabled. Under its own name they are as they were.",
)

KIND = TargetKind(
    has_owners=True,
    creates_roles=Question(
        "Create missing accounts",
        "Those that the database needs, with their privileges on it, and with their passwords if "
        "the backup holds them. Existing accounts are not changed.",
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
    exchange=mysql_exchange.EXCHANGE,
    adding=mysql_adding.ADDING,
    switches=(_ENABLE_EVENTS,),
    owner_word="account",
    owner_help="The definer of views and routines, as user@host.",
)
