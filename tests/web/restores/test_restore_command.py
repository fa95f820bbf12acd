"""`covetbackup restore`: what it prints and how it ends; and the whole way with a real worker."""

from __future__ import annotations

import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.core.management import call_command

from backups.models import Backup, Database
from covetbackup.access.models import Team
from covetbackup.core.databases.sqlite.restore.staging import RESTORE_PREFIX
from covetbackup.jobs.models import Job
from restores.management.commands import restore as command
from restores.models import Restore
from restores.result import TargetContent
from tests.web.backups.test_commands_worker import Installation
from tests.web.catalog import make_file, sqlite_server
from tests.web.restores_helper import rows_in, run, taken

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def backup(repository: Any, shop: Database) -> Backup:
    return taken(shop)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--wait` runs the job itself: there is no worker in this test."""

    def run_it(job: Job, *, quiet: bool) -> Job:
        try:
            run(Restore.objects.get(job=job))
        except Exception:  # noqa: BLE001 - recorded with the job, which is what is looked at
            pass
        job.refresh_from_db()
        return job

    monkeypatch.setattr(command, "wait_for", run_it)


def told(*arguments: str) -> dict[str, Any]:
    out = StringIO()
    try:
        call_command("restore", *arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return {"exit": ended.code, **json.loads(out.getvalue())}
    return {"exit": 0, **json.loads(out.getvalue())}


def test_without_wait_it_names_the_job(backup: Backup) -> None:
    found = told(backup.label, "--as", "copy.db")
    restore = Restore.objects.get(pk=found["restore"])
    assert (restore.job_id, restore.request.database) == (found["job"], "copy.db")


@pytest.mark.usefixtures("at_once")
def test_with_wait_it_says_what_was_compared(backup: Backup) -> None:
    found = told(str(backup.pk)[:8], "--as", "copy.db", "--wait")
    assert (found["exit"], found["tables"], found["rows"]) == (0, 1, 500)
    assert found["connect"].startswith("sqlite3 ")


@pytest.mark.usefixtures("at_once")
def test_to_another_server(backup: Backup, team: Team, tmp_path: Path) -> None:
    sqlite_server(team, tmp_path / "other", name="Other")
    assert told(backup.label, "--as", "Other/copy.db", "--wait")["target"] == "Other/copy.db"
    assert rows_in(tmp_path / "other" / "copy.db") == 500


@pytest.mark.usefixtures("at_once")
def test_a_restore_that_fails_ends_with_its_own_status(backup: Backup, vault: Path) -> None:
    copy = backup.copies.get().repository
    for volume in Path(copy.url.removeprefix("file://")).rglob("main.sqlite.zst.cvb"):
        data = bytearray(volume.read_bytes())
        data[-1] ^= 1
        volume.write_bytes(data)
    found = told(backup.label, "--as", "copy.db", "--wait")
    assert found["exit"] == found["status"] == 3
    assert found["kept"] == TargetContent.NOTHING


def test_a_taken_name_is_status_7(backup: Backup) -> None:
    found = told(backup.label, "--as", "shop.db")
    assert (found["exit"], found["error"]["code"]) == (7, "Conflict")
    assert not Restore.objects.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing", "--as", "x.db"),
        ("{label}", "--as", "nowhere/x.db"),
        ("{label}", "--as", "Shop/"),
    ],
)
def test_what_is_not_there_is_status_2(arguments: tuple[str, ...], backup: Backup) -> None:
    assert told(*(word.format(label=backup.label) for word in arguments))["exit"] == 2


def test_a_real_worker_restores_and_cleans_up_after_a_killed_one(tmp_path: Path) -> None:
    here = Installation(tmp_path / "var")
    data = tmp_path / "data"
    data.mkdir()
    make_file(data / "shop.db", rows=120_000)
    here.run("init", "--team", "Shop keepers")
    here.run("add_server", f"sqlite:///{data}", "--name", "Shop")
    with here.worker():
        backup = here.run("backup", "Shop/shop.db", "--wait", "--quiet")
        made = here.run("restore", backup["id"], "--as", "copy.db", "--wait", "--quiet")
        assert (made["status"], made["rows"]) == (0, 120_000)
        assert rows_in(data / "copy.db") == 120_000

        with ThreadPoolExecutor(1) as waiting:
            arguments = ("restore", backup["id"], "--as", "dead.db", "--wait", "--quiet")
            end = waiting.submit(here.run, *arguments)
            kill_runner(data)
            dead = end.result(120)
    assert (dead["job_state"], dead["kept"]) == ("interrupted", "nothing")
    assert len(dead["swept"]) == 1
    assert {path.name for path in data.iterdir()} == {"shop.db", "copy.db"}


def kill_runner(folder: Path) -> None:
    """Kill the one that restores to `folder`, once its scratch file grows."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        growing = [one for one in folder.glob(f"{RESTORE_PREFIX}*") if one.stat().st_size > 1 << 20]
        writers = [pid for pid in psutil.pids() if growing and is_runner(pid, growing[0])]
        if writers:
            os.kill(writers[0], signal.SIGKILL)
            return
        time.sleep(0.01)
    raise AssertionError("the runner was never seen at work")


def is_runner(pid: int, file: Path) -> bool:
    try:
        process = psutil.Process(pid)
        if not process.name().startswith("run-"):
            return False
        return str(file) in [one.path for one in process.open_files()]
    except psutil.Error:
        return False
