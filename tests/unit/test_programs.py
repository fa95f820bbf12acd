"""What `pip install` of the built package installs: two programs that need no checkout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.shape.tree import ROOT, project_files

PIP = (sys.executable, "-m", "pip", "-qq", "--disable-pip-version-check")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel of this tree was installed; `bin` has the programs."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in project_files():
        if not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    wheel = (*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source)
    subprocess.run(wheel, check=True, capture_output=True)
    target = ("--no-deps", "--no-index", "--no-compile", "--target", folder / "site")
    subprocess.run((*PIP, "install", *target, *folder.glob("*.whl")), check=True)
    return folder / "site"


def run(installed: Path, home: Path, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [installed / "bin" / program, *arguments],
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(installed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_the_engine_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    assert run(installed, tmp_path, "covet", "--help").startswith("usage: covet ")
    (tmp_path / "backups").mkdir()
    assert "is now repository" in run(
        installed, tmp_path, "covet", "init", f"file://{tmp_path}/backups"
    )


def test_the_dashboard_runs_from_the_wheel_with_its_data_in_the_home_folder(
    installed: Path, tmp_path: Path
) -> None:
    assert "with the password" in run(installed, tmp_path, "covetbackup", "init")
    assert (tmp_path / ".local/share/covetbackup/catalog.sqlite3").is_file()
    assert "0 backups" in run(installed, tmp_path, "covetbackup", "list")
    ask = "Client(SERVER_NAME='localhost').get('/sign-in/').status_code"
    page = f"from django.test import Client; print({ask})"
    run(installed, tmp_path, "covetbackup", "collectstatic", "--no-input")
    assert "200\n" in run(installed, tmp_path, "covetbackup", "shell", "--no-imports", "-c", page)


def test_every_template_and_static_file_is_in_the_wheel(installed: Path) -> None:
    wanted = {name for name in project_files() if name.startswith(("templates/", "static/"))}
    package = installed / "covetbackup"
    assert {name for name in wanted if not (package / name).is_file()} == set()
