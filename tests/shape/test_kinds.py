"""Kinds of databases are known to their own folders and to the registry; all else is told."""

from __future__ import annotations

import ast

from tests.shape.tree import imported_names, modules

KINDS = "covetbackup/core/databases/"
NAMES = frozenset({"postgresql", "postgres", "mysql", "mariadb", "sqlite"})

ALLOWED = {
    "backups/forms/servers.py": "one form for each kind of server",
    "backups/checks.py": "the database of the catalog, as Django names it",
    "backups/models/source.py": "the default of a column that only PostgreSQL uses",
    "covetbackup/access/set_up.py": "the database of the catalog, as Django names it",
    "covetbackup/audit/log.py": "the database of the catalog, as Django names it",
    "covetbackup/env.py": "the address of the catalog",
    "covetbackup/jobs/management/commands/up.py": "the database of the catalog",
    "covetbackup/jobs/queue.py": "the database of the catalog, as Django names it",
    "covetbackup/jobs/worker/cluster.py": "the database of the catalog, as Django names it",
    "covetbackup/system_status/disk.py": "the database of the catalog, as Django names it",
}
"""Modules that name one, and why."""


def test_no_module_names_a_kind_but_those_that_must() -> None:
    found = {
        path
        for path, tree in modules("covetbackup/", "backups/", "restores/")
        if not path.startswith(KINDS) and "/migrations/" not in path and _names_a_kind(tree)
    }
    assert found == set(ALLOWED)


def test_the_rooms_of_a_kind_are_entered_by_its_engine_only() -> None:
    """Of the engine module too only the registry knows, by its name."""
    found = {
        f"{path}: {name}"
        for path, tree in modules("covetbackup/", "backups/", "restores/")
        for name in imported_names(tree)
        if (room := _room(name)) and not path.startswith(f"{KINDS}{room}/")
    }
    assert found == set()


def _names_a_kind(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in NAMES
        for node in ast.walk(tree)
    )


def _room(module: str) -> str:
    rest = module.removeprefix("covetbackup.core.databases.")
    kind = rest.partition(".")[0]
    return kind if rest != module and kind in ("postgresql", "mysql", "sqlite") else ""
