"""Options of restores of PostgreSQL, and what they can do. No server is contacted."""

from __future__ import annotations

import shlex

from covetbackup.core.databases.postgresql.restore import check_server, scratch
from covetbackup.core.databases.restore_target import FieldText, RestoreFeatures, Switch
from covetbackup.core.errors import BadSetting

_NAME_BYTES = 63


def _refuse_name(name: str) -> None:
    if not name.strip() or not name.isprintable():
        raise BadSetting("the new database needs a name of visible characters")
    if len(name.encode()) > _NAME_BYTES:
        raise BadSetting(f"the database name {name[:80]!r} is longer than {_NAME_BYTES} bytes")
    if name.startswith(scratch.PREFIX):
        raise BadSetting(
            f"names that begin with {scratch.PREFIX} are those of unfinished restores",
            "enter another name",
        )


def _refuse_owner(owner: str) -> None:
    if len(owner.encode()) > _NAME_BYTES:
        raise BadSetting(f"the role name {owner[:80]!r} is longer than {_NAME_BYTES} bytes")


def _name_with_suffix(name: str, suffix: str) -> str:
    room = _NAME_BYTES - len(suffix.encode())
    return name.encode()[:room].decode(errors="ignore") + suffix


def _connect_command(url: str, server_version: str) -> str:
    return shlex.join(["psql", url])


_SKIP_FAILING = Switch(
    check_server.SKIP_FAILING,
    "Leave out what the server refuses to create",
    "An index, view, trigger or the like that fails is left out and listed in the result; tables "
    "and rows never are.",
)


_LEAVE_OUT_SCHEDULER = Switch(
    check_server.LEAVE_OUT_SCHEDULER,
    "Leave out pg_cron",
    "Its jobs are stored as rows in schema left_out_cron and do not run. Otherwise pg_cron is "
    "created again if the restored database is the one that cron.database_name names.",
    extension="pg_cron",
)


FEATURES = RestoreFeatures(
    refuse_name=_refuse_name,
    refuse_owner=_refuse_owner,
    name_with_suffix=_name_with_suffix,
    connect_command=_connect_command,
    creates_roles=FieldText(
        "Create missing roles",
        "With their passwords, if the backup holds them. Existing roles are not changed.",
    ),
    tables_into_existing=True,
    has_schemas=True,
    has_superusers=True,
    switches=(_SKIP_FAILING, _LEAVE_OUT_SCHEDULER),
)
