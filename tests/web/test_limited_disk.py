"""A folder whose file system lacks much: what the dashboard says of it before it is needed."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string

from backups.rehearsal import rehearse
from backups.secrets import write_private
from covetbackup.core.errors import BadSetting
from covetbackup.core.manager import create_repository
from covetbackup.core.storage.local import LocalStorage
from restores.checks import Level
from restores.targets.sqlite import _shortcomings

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
    steps = rehearse(LocalStorage(tmp_path / "repository"))
    assert not any(step.problem for step in steps)
    page = render_to_string("backups/_rehearsal.html", {"steps": steps})
    for sentence in MISSING:
        assert sentence in page


def test_the_check_before_a_restore_warns_of_what_the_folder_cannot_do(
    limited: None, tmp_path: Path
) -> None:
    checks = _shortcomings(tmp_path)
    assert {check.level for check in checks} == {Level.WARNING}
    assert len(checks) == len(MISSING)
    assert list(tmp_path.iterdir()) == []


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
