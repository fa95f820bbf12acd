"""A repository that is away during a backup gets its copy when it is back, by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.web.catalog import make_file
from tests.web.jobs.cluster import Cluster, wait_until


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Cluster]:
    """With two repositories, and one SQLite file to back up."""
    (tmp_path / "files").mkdir()
    make_file(tmp_path / "files" / "shop.db")
    cluster = Cluster(tmp_path, shell="backup_shell", settings="archive_settings")
    cluster.ask("furnish", str(tmp_path / "files"), 5432, "never asked for")
    cluster.ask("add_repository", "away")
    yield cluster
    cluster.close()


def test_a_repository_that_was_away_gets_its_copy_when_it_is_back(archive: Cluster) -> None:
    away = archive.folder / "away"
    away.rename(archive.folder / "unmounted")
    archive.worker()
    archive.wait_for(archive.ask("back_up", "files", "shop.db", "zstd:3"), "succeeded")
    wait_until(lambda: (archive.ask("copies")[1]["job__attempt"] or 0) >= 2, 60)
    copy = archive.ask("copies")[1]
    assert copy["state"] == "failed" and "covet.json" in copy["problem"]
    assert [backup["state"] for backup in archive.ask("backups")] == ["degraded"]

    (archive.folder / "files" / "shop.db").unlink()
    (archive.folder / "unmounted").rename(away)

    wait_until(lambda: archive.ask("copies")[1]["state"] == "stored", 60)
    assert [backup["state"] for backup in archive.ask("backups")] == ["available"]
    trees = [
        {path.relative_to(top): path.read_bytes() for path in (top / "b").rglob("*.*")}
        for top in (archive.folder / "repository", away)
    ]
    assert trees[0] == trees[1] != {}
