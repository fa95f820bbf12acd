"""From nothing to a restorable catalog with commands and a real worker, and back after a loss."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from covetbackup.command_line import command as shown
from tests.support.paths import ROOT
from tests.web.catalog import make_file


class Installation:
    """A `var` folder of its own, used by processes only."""

    def __init__(self, var: Path) -> None:
        self.var = var
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        self.environment = {**kept, "COVET_VAR": str(var), "COVET_LOG_LEVEL": "WARNING"}
        self.environment["COVET_SQLITE_ROOTS"] = str(var.parent)

    def run(self, *arguments: str) -> dict[str, Any]:
        """What a command prints as JSON; its exit status is in it."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments, "--json"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["status"] == done.returncode
        return found

    def complaint(self, *arguments: str) -> str:
        """What a command says of a standard output that its reader has closed."""
        reading, writing = os.pipe()
        os.close(reading)
        command = [sys.executable, "manage.py", *arguments]
        with open(writing, "wb") as output:
            done = subprocess.run(
                command, cwd=ROOT, env=self.environment, stdout=output, stderr=subprocess.PIPE
            )
        assert done.returncode == 141
        return done.stderr.decode()

    @contextmanager
    def worker(self) -> Iterator[None]:
        with (self.var / "worker.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "worker"],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_a_catalog_is_set_up_used_lost_and_rebuilt(tmp_path: Path) -> None:
    here = Installation(tmp_path / "var")
    (tmp_path / "data").mkdir()
    make_file(tmp_path / "data" / "shop.db")

    made = here.run("init", "--team", "Shop keepers")
    assert made["password"] and Path(made["recovery_file"]).stat().st_mode & 0o777 == 0o600
    assert here.run("init")["password"] == ""
    here.run("add_server", f"sqlite:///{tmp_path}/data", "--name", "Shop")
    with here.worker():
        backup = here.run("backup", "Shop/shop.db", "--wait", "--quiet")
        assert (backup["status"], backup["state"], backup["rows"]) == (0, "available", 500)
        verified = here.run("verify", backup["id"], "--wait", "--quiet")
        assert verified["ok"] is True
        for command in ("list", "jobs", "check_audit", "showmigrations", "check"):
            assert here.complaint(command) == ""
        second = here.run("backup", "Shop/shop.db", "--wait", "--quiet")
        gone = here.run("delete", second["id"], "--yes", "--wait", "--quiet")
        assert gone["job_state"] == "succeeded"

    for file in here.var.glob("catalog.sqlite3*"):
        file.unlink()
    lost = here.run("list")
    assert (lost["status"], lost["error"]["hint"]) == (2, f"run {shown('init')} to begin one")
    here.run("init")
    key = made["recovery_file"]
    rebuilt = here.run("rebuild_catalog", "Local", "--key-file", key, "--keep-keys")
    assert rebuilt["added"] == [backup["label"]]
    listed = here.run("list")["backups"]
    assert [(row["id"], row["state"], row["rows"]) for row in listed] == [
        (backup["id"], "available", 500)
    ]
    with here.worker():
        assert here.run("verify", backup["id"], "--wait", "--quiet")["ok"] is True
        restored = here.run("restore", backup["id"], "--as", "again.db", "--wait", "--quiet")
        assert (restored["status"], restored["rows"]) == (0, 500)
    assert (tmp_path / "data" / "again.db").exists()


def test_a_lost_catalog_key_is_never_replaced_in_silence(tmp_path: Path) -> None:
    here = Installation(tmp_path / "var")
    here.run("init")
    (here.var / "catalog-keys").unlink()

    again = here.run("init")
    assert (again["status"], again["error"]["code"]) == (4, "SecretsLocked")
    assert here.run("check_secrets")["status"] == 4
    assert not (here.var / "catalog-keys").exists()
