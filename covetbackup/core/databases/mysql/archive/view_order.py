"""The order in which views are created: each after those it reads.

The dump program creates stand-ins first, so that any order would do, but a view WITH CHECK OPTION
cannot be created on a stand-in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

from covetbackup.core.databases.mysql.server.connection import Connection

_NAME = re.compile(r"`((?:[^`]|``)*)`")


def views_in_order(connection: Connection, database: str) -> list[str]:
    """Return the views of `database`, each after those it reads."""
    query = "SELECT TABLE_NAME, VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA=%s"
    rows = connection.rows(query, [database])
    return in_order({str(name): str(definition or "") for name, definition in rows})


def in_order(definitions: Mapping[str, str]) -> list[str]:
    """Return the names, each after those whose names are quoted in its definition."""
    needs: TopologicalSorter[str] = TopologicalSorter()
    for name, text in sorted(definitions.items()):
        quoted = {found.replace("``", "`") for found in _NAME.findall(text)}
        needs.add(name, *sorted(quoted & definitions.keys() - {name}))
    try:
        return list(needs.static_order())
    except CycleError:
        return sorted(definitions)  # a column that is called like a view can look like a cycle
