"""A folder whose file system lacks much: what the dashboard says of it before it is needed."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.template.loader import render_to_string

from backups.management.commands import init
from backups.repository_check import check_storage
from backups.secrets import write_private
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.sqlite.restore.checks import file_system
from covetbackup.core.errors import BadSetting
from covetbackup.core.manager import create_repository
from covetbackup.core.storage.local import LocalStorage

MISSING = ("cannot confirm that data is on disk", "no hard links", "no locks")


def _refused(*_: object, **__: object) -> None:
    raise OSError(errno.EINVAL, "Invalid argument")


@pytest.fixture
def limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((os, "fsync"), (os, "link"), (fcntl, "flock")):
        monkeypatch.setattr(module, name, _refused)


def test_the_test_of_a_repository_warns_of_what_the_folder_cannot_do(
    limited: None, tmp_path: Path
) -> None:
    create_repository(f"file://{tmp_path}/repository")
    steps = check_storage(LocalStorage(tmp_path / "repository"))
    assert not any(step.problem for step in steps)
    page = render_to_string("backups/_repository_check.html", {"steps": steps})
    for sentence in MISSING:
        assert sentence in page


def test_the_check_before_a_restore_warns_of_what_the_folder_cannot_do(
    limited: None, tmp_path: Path
) -> None:
    checks = file_system(tmp_path)
    assert {check.level for check in checks} == {Level.WARNING}
    assert len(checks) == len(MISSING)
    assert list(tmp_path.iterdir()) == []


def test_a_command_that_the_system_refuses_ends_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def report(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system", "/srv/var")

    monkeypatch.setattr(init.Command, "report", report)
    with pytest.raises(SystemExit) as ended:
        call_command("init", stderr=sys.stderr)
    assert ended.value.code == 5
    assert "error: /srv/var cannot be used: read-only file system" in capsys.readouterr().err


def test_a_secret_is_not_written_where_others_could_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def without_modes(path: Any, flags: int, mode: int = 0o777, **options: Any) -> int:
        return opened(path, flags, 0o755, **options)

    monkeypatch.setattr(os, "open", without_modes)
    with pytest.raises(BadSetting, match="keeps no permissions"):
        write_private(tmp_path / "secret", "x")
    assert list(tmp_path.iterdir()) == []
