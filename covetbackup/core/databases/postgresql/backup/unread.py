"""Objects that a backup role with few privileges cannot read, though its dump succeeds.

Tables, sequences and large objects that it may not read stop the backup (see `dumpable_objects`).
What is named here is missing in the dump without a message of pg_dump, or with one that no restore
repeats.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.server.connection import Connection

_MAPPINGS = "mappings_without_options"
_SUBSCRIPTIONS = "subscriptions_left_out"


def unread_objects(connection: Connection) -> dict[str, str]:
    """Return what is not read, as JSON for an inventory's settings; nothing for a superuser.

    These are user mappings by role and server, and the names of subscriptions.
    """
    mappings = [list(row) for row in connection.execute(_HIDDEN_MAPPINGS)]
    subscriptions = [name for (name,) in connection.execute(_HIDDEN_SUBSCRIPTIONS)]
    found = {_MAPPINGS: mappings, _SUBSCRIPTIONS: subscriptions}
    return {name: json.dumps(value) for name, value in found.items() if value}


def warnings(settings: dict[str, str]) -> list[str]:
    """Return a backup's warning for each unread object, with what helps."""
    return [f"{line}; or back up as a superuser" for line in _lines(settings)]


def notes(expected: Inventory) -> list[str]:
    """Return a note for each unread object, for a restore of the backup that lacks it."""
    return list(_lines(expected.settings or {}))


def _lines(settings: dict[str, str]) -> Iterator[str]:
    for role, server in json.loads(settings.get(_MAPPINGS, "[]")):
        yield (
            f"the user mapping of {role} on server {server} is without its options, which the"
            " backup role cannot read: set them after a restore with ALTER USER MAPPING FOR"
            f" {role} SERVER {server} OPTIONS (ADD …)"
        )
    for name in json.loads(settings.get(_SUBSCRIPTIONS, "[]")):
        yield (
            f"subscription {name} is not dumped, as only a superuser can: create it again after a"
            " restore"
        )


# The view's own conditions: options that are NULL in spite of them are really none.
_HIDDEN_MAPPINGS = """
SELECT CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(m.usename) END, quote_ident(m.srvname)
FROM pg_user_mappings m JOIN pg_foreign_server s ON s.oid = m.srvid
WHERE m.umoptions IS NULL
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  AND NOT CASE m.umuser
    WHEN 0 THEN pg_has_role(s.srvowner, 'USAGE')
    ELSE m.usename = current_user
      AND (pg_has_role(s.srvowner, 'USAGE') OR has_server_privilege(s.oid, 'USAGE')) END
ORDER BY 1, 2
"""
_HIDDEN_SUBSCRIPTIONS = """
SELECT subname FROM pg_subscription
WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) ORDER BY 1
"""
