"""A second dashboard on a copy of the catalog, with real workers: it leaves the shared repository
alone until it is said to be the successor. And the catalog as a database that is backed up."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.support.postgres import PostgresServer
from tests.web.catalog import make_file
from tests.web.jobs.cluster import IN_THE_FOLDER, Cluster, catalog_on, stop, wait_until

pytestmark = pytest.mark.slow
SHOP = "shop.db"


@pytest.fixture
def original(
    request: pytest.FixtureRequest, tmp_path: Path, postgres_tidy: PostgresServer
) -> Cluster:
    """A cluster whose catalog is as the parameter says, with a backup and a removal that waits."""
    folder = tmp_path / "original"
    (folder / "files").mkdir(parents=True)
    make_file(folder / "files" / SHOP, rows=50)
    catalog = IN_THE_FOLDER
    if request.param == "postgresql":
        postgres_tidy.create_database("original")
        catalog = catalog_on(postgres_tidy, "original")
    cluster = Cluster(folder, catalog, shell="backup_shell", settings="archive_settings")
    port, password = postgres_tidy.port, postgres_tidy.password.reveal()
    cluster.ask("furnish", str(folder / "files"), port, password)
    request.addfinalizer(cluster.close)
    return cluster


@pytest.mark.parametrize("original", ["sqlite", "postgresql"], indirect=True)
def test_a_copied_catalog_touches_nothing_until_it_is_the_successor(
    request: pytest.FixtureRequest,
    original: Cluster,
    tmp_path: Path,
    postgres_tidy: PostgresServer,
) -> None:
    worker = original.worker()
    backup = original.ask("back_up", "files", SHOP, "none")
    original.wait_for(backup, "succeeded")
    stop(worker, seconds=20)
    removal = original.ask("delete", backup)
    catalog = IN_THE_FOLDER
    if original.environment["DATABASE_URL"]:
        postgres_tidy.create_database("copied", "TEMPLATE original")
        catalog = catalog_on(postgres_tidy, "copied")
    shutil.copytree(original.folder, tmp_path / "copy")
    copy = Cluster(tmp_path / "copy", catalog, shell="backup_shell", settings="archive_settings")
    request.addfinalizer(copy.close)
    roots = {"COVET_REPOSITORY_ROOTS": str(original.folder)}
    copy.worker(**roots)
    wait_until(lambda: "copy and in quarantine" in copy.messages(), 30)
    time.sleep(4)  # several ticks
    assert copy.job(removal)["state"] == "queued"
    assert len(original.ask("published")) == 1
    assert copy.start("quarantine", "--end", **roots).wait(60) == 0
    copy.wait_for(removal, "succeeded")
    assert original.ask("published") == []


@pytest.mark.parametrize("original", ["postgresql"], indirect=True)
def test_the_catalog_is_backed_up_by_itself_and_not_replaced_by_itself(original: Cluster) -> None:
    original.worker()
    backup = original.ask("back_up", "postgres", "original", "zstd:3")
    original.wait_for(backup, "succeeded", seconds=60)
    ended = original.wait_for(original.ask("replace", backup), "failed", seconds=60)
    assert ended["error_code"] == "Conflict", ended
    assert "catalog of this dashboard" in ended["error"] and "rebuild_catalog" in ended["hint"]
