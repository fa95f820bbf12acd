"""`restore --replace` and `--check`, `revert_restore`, `drop_retained`; and with a real worker."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from backups.models import Backup, Database
from covetbackup.jobs.models import Job
from restores.models import Restore
from tests.web.backups.test_commands_worker import Installation
from tests.web.catalog import make_file
from tests.web.replacements import replaced
from tests.web.restores.test_restore_command import kill_runner
from tests.web.restores_helper import names_in, rows_in, taken

pytest_plugins = ["tests.web.catalog_fixtures"]


@pytest.fixture
def backup(repository: Any, shop: Database) -> Backup:
    return taken(shop)


def told(command: str, *arguments: str) -> dict[str, Any]:
    out = StringIO()
    try:
        call_command(command, *arguments, "--json", stdout=out, stderr=StringIO())
    except SystemExit as ended:
        return {"exit": ended.code, **json.loads(out.getvalue())}
    return {"exit": 0, **json.loads(out.getvalue())}


def test_check_only_looks_and_its_status_tells(backup: Backup) -> None:
    good = told("restore", backup.label, "--as", "copy.db", "--check")
    assert (good["exit"], good["target"]) == (0, "Shop/copy.db")
    assert {check["title"] for check in good["checks"]} >= {"Objects", "Key", "Name"}
    bad = told("restore", backup.label, "--as", "shop.db", "--check")
    assert bad["exit"] == 7
    [name] = [check for check in bad["checks"] if check["title"] == "Name"]
    assert (name["level"], bool(name["fix"])) == ("fail", True)
    assert told("restore", backup.label, "--replace", "Shop/shop.db", "--check")["exit"] == 0
    assert not Restore.objects.exists()


@pytest.mark.parametrize("confirm", [(), ("--confirm", "Shop/shop.db")])
def test_a_replacement_needs_the_name_once_more(backup: Backup, confirm: tuple[str, ...]) -> None:
    assert told("restore", backup.label, "--replace", "Shop/shop.db", *confirm)["exit"] == 2
    assert not Restore.objects.exists()


def test_the_safety_backup_can_be_left_out(backup: Backup) -> None:
    given = (backup.label, "--replace", "Shop/shop.db", "--confirm", "shop.db")
    told("restore", *given, "--no-safety-backup", "--retention-days", "0")
    restore = Restore.objects.get()
    assert (restore.request.replace, restore.safety_backup, restore.retention_days) == (
        True,
        None,
        0,
    )


def test_swap_back_and_drop_ask_for_jobs_that_need_the_name(backup: Backup) -> None:
    kept = replaced(backup)
    restore = str(kept.restore_id)
    assert told("drop_retained", restore, "--confirm", "shop.db")["exit"] == 2
    assert told("revert_restore", restore, "--confirm", kept.name)["exit"] == 2
    assert told("revert_restore", str(backup.pk), "--confirm", "shop.db")["exit"] == 2
    job = told("revert_restore", restore, "--confirm", "shop.db")["job"]
    assert Job.objects.get(pk=job).kind == "swap_back"
    assert told("drop_retained", restore, "--confirm", kept.name)["exit"] == 7


def test_a_real_worker_backs_up_replaces_and_swaps_back(tmp_path: Path) -> None:
    here = Installation(tmp_path / "var")
    data = tmp_path / "data"
    data.mkdir()
    shop = make_file(data / "shop.db", rows=120_000)
    here.run("init", "--team", "Shop keepers")
    here.run("add_server", f"sqlite:///{data}", "--name", "Shop")
    replace = ("--replace", "Shop/shop.db", "--confirm", "shop.db", "--wait", "--quiet")
    with here.worker():
        backup = here.run("backup", "Shop/shop.db", "--wait", "--quiet")
        with closing(sqlite3.connect(shop)) as connection:
            connection.execute("DELETE FROM item WHERE id >= 7")
            connection.commit()

        with ThreadPoolExecutor(1) as waiting:
            end = waiting.submit(here.run, "restore", backup["id"], *replace, "--no-safety-backup")
            kill_runner(data)
            dead = end.result(120)
        assert (dead["job_state"], dead["kept"]) == ("interrupted", "nothing")
        assert (rows_in(shop), names_in(data)) == (7, {"shop.db"})

        made = here.run("restore", backup["id"], *replace)
        assert (made["status"], rows_in(shop)) == (0, 120_000)
        assert rows_in(data / made["retained_as"]) == 7
        back = here.run(
            "revert_restore", made["restore"], "--confirm", "shop.db", "--wait", "--quiet"
        )
        assert (back["status"], rows_in(shop)) == (0, 7)
        assert names_in(data) == {"shop.db", back["retained_as"]}
        listed = here.run("list")["backups"]
    assert [row["rows"] for row in listed] == [7, 120_000]
