"""Options of restores of MySQL and MariaDB, and what they can do. No server is contacted."""

from __future__ import annotations

import shlex

from covetbackup.core.databases.mysql.restore import check_server, scratch
from covetbackup.core.databases.mysql.server.settings import SERVERS_OWN
from covetbackup.core.databases.mysql.server.url import parse_url
from covetbackup.core.databases.restore_target import FieldText, RestoreFeatures, Switch
from covetbackup.core.errors import BadSetting

_NAME_CHARACTERS = 64
_USER_CHARACTERS = 128
"""Of MariaDB; MySQL has 32, and says so itself."""
_HOST_CHARACTERS = 255


def _refuse_name(name: str) -> None:
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


def _name_with_suffix(name: str, suffix: str) -> str:
    return name[: _NAME_CHARACTERS - len(suffix)] + suffix


def _connect_command(url: str, server_version: str) -> str:
    settings = parse_url(url)
    if settings.socket:
        place = [f"--socket={settings.socket}"]
    else:
        place = [f"--host={settings.host}", f"--port={settings.port}"]
    program = "mariadb" if "mariadb" in server_version.lower() else "mysql"
    return shlex.join([program, *place, f"--user={settings.user}", "--password", settings.database])


_ENABLE_EVENTS = Switch(
    check_server.ENABLE_EVENTS,
    "Enable events of a copy",
    "Without this the scheduled events of a database that is restored under another name are "
    "disabled. Under its own name they are as they were.",
)

FEATURES = RestoreFeatures(
    refuse_name=_refuse_name,
    refuse_owner=_refuse_owner,
    name_with_suffix=_name_with_suffix,
    connect_command=_connect_command,
    creates_roles=FieldText(
        "Create missing accounts",
        "Those that the database needs, with their privileges on it, and with their passwords if "
        "the backup holds them. Existing accounts are not changed.",
    ),
    switches=(_ENABLE_EVENTS,),
    owner_word="account",
    owner_help="The definer of views and routines, as user@host.",
)
