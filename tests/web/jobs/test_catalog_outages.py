"""A PostgreSQL catalog that dies and comes back while a job writes to it: nothing is done twice,
and no attempt is lost."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.postgres import postgres_binaries
from tests.support.postgres_server import PostgresServer, server_in
from tests.web.catalog import make_file
from tests.web.jobs.cluster import Cluster, catalog_on, wait_until

pytestmark = pytest.mark.slow

CONFIRM = "covetbackup.jobs.work.Work.confirm"
SHOP = "shop.db"


class Mortal:
    """A PostgreSQL server that can be killed as by `pg_ctl -m immediate stop`, and started."""

    def __init__(self) -> None:
        binaries = postgres_binaries()
        if not binaries:
            pytest.skip("no PostgreSQL server is installed")
        self._binaries = binaries[-1]
        self._stack = ExitStack()
        self._folder = Path(
            self._stack.enter_context(tempfile.TemporaryDirectory(prefix="covet-mortal-"))
        )
        self._running = ExitStack()
        self.server: PostgresServer
        self.start()

    def start(self) -> None:
        self.server = self._running.enter_context(server_in(self._folder, self._binaries))

    def kill(self) -> None:
        words = (self._folder / "data" / "postmaster.pid").read_text().split()
        os.kill(int(words[0]), signal.SIGQUIT)
        self._running.close()

    def close(self) -> None:
        self._running.close()
        self._stack.close()


@pytest.fixture(scope="module")
def catalog() -> Iterator[Mortal]:
    mortal = Mortal()
    yield mortal
    mortal.close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, catalog: Mortal) -> Iterator[Cluster]:
    """A cluster with a folder of SQLite files, its catalog on the server that can be killed."""
    server = catalog.server
    server.create_database("archive")
    # Or a claim that was answered is forgotten by the crash, and the job begun by two.
    server.execute("archive", "ALTER DATABASE archive SET synchronous_commit = on")
    folder, place = tmp_path_factory.mktemp("outage"), catalog_on(server, "archive")
    cluster = Cluster(folder, place, shell="backup_shell", settings="outage_settings")
    (folder / "files").mkdir()
    make_file(folder / "files" / SHOP, rows=50)
    cluster.ask("furnish", str(folder / "files"), 1, "no server")
    cluster.worker()
    yield cluster
    cluster.close()


def outlived(cluster: Cluster, catalog: Mortal, point: str, job: int) -> dict[str, object]:
    """The job at its end; the catalog died before the call `point`, and came back later."""
    wait_until((cluster.folder / "paused").exists, 30)
    catalog.kill()
    (cluster.folder / "go").touch()
    time.sleep(1.5)
    catalog.start()
    return cluster.wait_for(job, "succeeded", "failed", "interrupted", seconds=40)


@pytest.fixture
def pause(archive: Cluster) -> Iterator[Path]:
    """The file that names where work waits."""
    yield archive.folder / "pause"
    for name in ("pause", "paused", "go"):
        (archive.folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("point", [CONFIRM, "backups.state.record_backup"])
def test_a_backup_outlives_a_restart_of_the_catalog_while_it_is_published(
    archive: Cluster, catalog: Mortal, pause: Path, point: str
) -> None:
    pause.write_text(point)
    job = archive.ask("back_up", "files", SHOP, "none")
    ended = outlived(archive, catalog, point, job)
    assert (ended["state"], ended["attempts"]) == ("succeeded", [[1, "succeeded"]]), ended
    mine = [one for one in archive.ask("backups") if one["job"] == job]
    assert [one["state"] for one in mine] == ["available"]
    assert mine[0]["label"] in archive.ask("published")
    assert archive.ask("orphans") == []
    assert "Traceback" not in archive.messages()


@pytest.fixture
def backup(archive: Cluster) -> int:
    job = int(archive.ask("back_up", "files", SHOP, "none"))
    archive.wait_for(job, "succeeded")
    return job


@pytest.mark.parametrize(
    ("kind", "point"),
    [
        ("verify", "backups.state.record_copy_check"),
        ("verify", "backups.state.record_verified"),
        ("copy", CONFIRM),
        ("copy", "backups.copy_tasks.record_copied"),
        ("delete", "backups.tasks.remove_copy"),
        ("delete", "backups.state.record_removed"),
        ("restore", CONFIRM),
        ("restore", "restores.tasks.record_done"),
        ("restore", "restores.tasks.update_catalog"),
    ],
)
def test_other_work_outlives_a_restart_of_the_catalog_too(
    archive: Cluster, catalog: Mortal, backup: int, pause: Path, kind: str, point: str
) -> None:
    arguments = {"restore": [f"{point[-8:]}.db"], "copy": [f"r{point[-8:]}"]}.get(kind, [])
    if kind == "copy":
        archive.ask("add_repository", *arguments)
    pause.write_text(point)
    job = archive.ask(kind, backup, *arguments)
    ended = outlived(archive, catalog, point, job)
    assert ended["state"] == "succeeded", ended
    assert [number for number, _ in ended["attempts"]] in ([1], [1, 1]), ended
    assert "unexpected error" not in archive.messages()
    assert archive.ask("damaged") == []
