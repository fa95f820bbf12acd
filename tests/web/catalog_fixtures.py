"""Fixtures for the catalog: keys that exist, repositories and databases that can be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import override_settings

from backups import installation, secrets
from backups.models import Database, Repository
from covetbackup.access.models import Team
from tests.web.catalog import make_file, make_repository
from tests.web.factories import make_database, make_server


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Path]:
    """A catalog that was set up: a folder with its key file, in which repositories may be."""
    folder = tmp_path / "vault"
    folder.mkdir()
    changed = override_settings(
        CATALOG_KEYS_FILE=folder / "catalog-keys",
        RECOVERY_KEY_FILE=folder / "recovery.key",
        REPOSITORY_ROOTS=[folder],
    )
    with changed:
        secrets.create_key_file()
        secrets.set_canary()
        yield folder


@pytest.fixture
def keys(vault: Path, team: Team) -> Path:
    """The team has encryption keys; the path of its recovery key."""
    return installation.make_keys(team)


@pytest.fixture
def repository(vault: Path, keys: Path, team: Team) -> Repository:
    """The team's default repository, in a folder."""
    return make_repository(team, vault / "first", is_default=True)


@pytest.fixture
def shop(tmp_path: Path, team: Team) -> Database:
    """A SQLite database with 500 rows in one table, in the catalog."""
    folder = tmp_path / "shop"
    folder.mkdir()
    make_file(folder / "shop.db")
    return make_database(make_server(team, name="Shop", folder=str(folder)), name="shop.db")
