"""Restores of earlier versions keep their meaning through an upgrade of the catalog."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import Selection
from restores.models import Restore

BEFORE = ("restores", "0008_retained_database")

OLD_ROWS: list[tuple[dict[str, Any], RestoreRequest]] = [
    (
        {"target_name": "copy", "owner": "heir", "creates_roles": True, "jobs": 3},
        RestoreRequest("copy", owner="heir", create_roles=True, jobs=3),
    ),
    (
        {"target_name": "shop", "replaces": True, "keep_days": 2, "switches": ["skip_failing"]},
        RestoreRequest("shop", replace=True, jobs=1, options=("skip_failing",)),
    ),
    (
        # Stored before a selection could be of rows alone, or rename schemas.
        {
            "target_name": "some",
            "selection": {"tables": ["a.b"], "schemas": ["c"], "with_data": False},
        },
        RestoreRequest("some", Selection(("a.b",), ("c",), with_data=False), jobs=1),
    ),
    (
        {
            "target_name": "shop",
            "adds": True,
            "selection": {
                "tables": ["a.b"],
                "schemas": [],
                "with_data": True,
                "with_structure": True,
                "schemas_as": [["a", "z"]],
            },
        },
        RestoreRequest(
            "shop", Selection(("a.b",), schemas_as=(("a", "z"),)), into_existing=True, jobs=1
        ),
    ),
]


@pytest.fixture
def upgraded(tmp_path: Path) -> Iterator[str]:
    """The alias of an empty catalog of its own, of the version before requests."""
    alias = "upgraded"
    settings = connections.settings["default"]
    connections.settings[alias] = {**settings, "NAME": tmp_path / "catalog.sqlite"}
    try:
        call_command("migrate", *BEFORE, database=alias, verbosity=0)
        yield alias
    finally:
        connections[alias].close()
        del connections[alias]
        del connections.settings[alias]


def test_columns_become_the_request_that_they_meant(upgraded: str) -> None:
    executor = MigrationExecutor(connections[upgraded])
    old = executor.loader.project_state(list(executor.loader.applied_migrations)).apps

    def make(app: str, model: str, **fields: Any) -> Any:
        return old.get_model(app, model).objects.using(upgraded).create(**fields)

    team = make("access", "Team", name="crew")
    server = make("backups", "Server", team=team, name="db", kind="sqlite", folder="/srv")
    database = make("backups", "Database", server=server, name="shop")
    backup = make("backups", "Backup", database=database)
    rows = [
        make("restores", "Restore", backup=backup, target_server=server, **fields)
        for fields, _ in OLD_ROWS
    ]
    call_command("migrate", database=upgraded, verbosity=0)
    found = Restore.objects.using(upgraded)
    requests = [found.get(pk=row.pk).request for row in rows]
    assert requests == [request for _, request in OLD_ROWS]
    assert [found.get(pk=row.pk).retention_days for row in rows] == [7, 2, 7, 7]
