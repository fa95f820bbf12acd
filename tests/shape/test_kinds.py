"""Kinds of databases are known to their own folders and to the registry; all else is told."""

from __future__ import annotations

import ast
import re

from covetbackup.core.databases.registry import ENTRIES
from tests.shape.tree import imported_names, modules

KINDS = "covetbackup/core/databases/"
SOURCES = ("covetbackup/", "backups/", "restores/")
NAMES = re.compile(r"postgres|mysql|mariadb|sqlite|psql|\bpg_", re.IGNORECASE)
DRIVERS = ("psycopg", "pymysql", "sqlite3")

ALLOWED = {
    "backups/forms/servers.py": "one form for each kind of server",
    "backups/checks.py": "the database of the catalog, as Django names it",
    "backups/engine_factory.py": "the database of the catalog, as Django names it",
    "backups/models/source.py": "the default of a column that only PostgreSQL uses",
    "backups/roots.py": "the name of a setting",
    "covetbackup/access/set_up.py": "the database of the catalog, as Django names it",
    "covetbackup/audit/log.py": "the database of the catalog, as Django names it",
    "covetbackup/core/stream/diagnostics.py": "what client programs print of rows, to redact it",
    "covetbackup/core/stream/reason.py": "what client programs print before an error's reason",
    "covetbackup/env.py": "the address of the catalog",
    "covetbackup/jobs/management/commands/up.py": "the database of the catalog",
    "covetbackup/jobs/queue.py": "the database of the catalog, as Django names it",
    "covetbackup/jobs/worker/cluster.py": "the database of the catalog, as Django names it",
    "covetbackup/settings.py": "the name of a setting and of the catalog's file",
    "covetbackup/system_status/disk.py": "the database of the catalog, as Django names it",
}
"""Modules that name one, and why."""


def test_no_module_names_a_kind_but_those_that_must() -> None:
    found = {
        path
        for path, tree in modules(*SOURCES)
        if not path.startswith(KINDS) and _names_a_kind(tree)
    }
    assert found == set(ALLOWED)


def test_what_all_kinds_share_names_none_but_in_the_registry() -> None:
    found = {
        path
        for path, tree in modules(KINDS)
        if path.count("/") == KINDS.count("/") and _names_a_kind(tree)
    }
    assert found == {f"{KINDS}registry.py"}


def test_the_rooms_of_a_kind_are_entered_by_its_engine_only() -> None:
    """Of the engine module too only the registry knows, by its name."""
    found = {
        f"{path}: {name}"
        for path, tree in modules(*SOURCES)
        for name in imported_names(tree)
        if (kind := _kind_of(name)) and not path.startswith(f"{KINDS}{kind}/")
    }
    assert found == set()


def test_no_module_but_those_of_a_kind_imports_its_driver() -> None:
    found = {
        f"{path}: {name}"
        for path, tree in modules(*SOURCES)
        for name in imported_names(tree)
        if name.partition(".")[0] in DRIVERS and not path.startswith(KINDS)
    }
    assert found == set()


def _names_a_kind(tree: ast.Module) -> bool:
    """Return whether a string that is no text to be read, or an f-string's piece, has a name."""
    return any(
        isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and NAMES.search(node.value)
        and (not re.search(r"\s", node.value.strip()) or "(?" in node.value)
        for node in ast.walk(tree)
    )


def _kind_of(module: str) -> str:
    rest = module.removeprefix("covetbackup.core.databases.")
    kind = rest.partition(".")[0]
    return kind if rest != module and kind in ENTRIES else ""
