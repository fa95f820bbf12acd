"""What README.md and docs/ tell people to type works when it is typed, and they stay readable."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from covetbackup.core.cli.exits import EXITS
from covetbackup.core.crypto.keyring import new_keys, write_new_keys
from covetbackup.core.manager import create_repository
from tests.support.paths import ROOT

_FILES = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
PAGES = {path.name: path.read_text() for path in _FILES}
PROGRAMS = Path(sys.executable).parent
"""Where `make setup` has put `covet` and `covetbackup`."""


def test_the_walk_through_the_command_line_works(tmp_path: Path) -> None:
    script = _fenced("cli.md", "sh")[0].replace("$PWD/.venv/bin", str(PROGRAMS))
    finished = _shell(script, tmp_path)
    assert finished.returncode == 0, finished.stdout
    for line in ("1 backup\n", "no fault found at level content", "two chairs\n", "rotated "):
        assert line in finished.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_python_example_works(tmp_path: Path) -> None:
    (example,) = _fenced("development.md", "python")
    program = example.replace("/srv/", f"{tmp_path}/").replace('Path("', f'Path("{tmp_path}/')
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
    write_new_keys(new_keys(), tmp_path / "working.key", tmp_path / "recovery.key")
    create_repository(f"file://{tmp_path}/backups")
    exec(program, {})
    with closing(sqlite3.connect(tmp_path / "restored.sqlite")) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]


def test_the_commands_that_set_the_dashboard_up_work(tmp_path: Path) -> None:
    lines = re.findall(
        r"^    (\.venv/bin/covetbackup .*?)(?: +#.*)?$", PAGES["install.md"], re.MULTILINE
    )
    init, link, up, worker = lines
    for number, line in enumerate((init, link)):
        printed = _run(line, tmp_path / str(number))
        assert ("sign in as owner" in printed) is (line == init)
        assert ("/set-up/" in printed) is (line == link)
    for line in (up, worker):
        assert "usage: " in _run(f"{line} --help", tmp_path / "0")


def test_every_exit_status_is_listed() -> None:
    assert dict(re.findall(r"^\| (\d+) \| (.*) \|$", PAGES["cli.md"], re.MULTILINE)) == {
        str(status): why for status, why in EXITS.items()
    }


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(PAGES["README.md"].splitlines()) <= 120


@pytest.mark.parametrize("name", PAGES)
def test_lines_are_short_and_links_lead_somewhere(name: str) -> None:
    folder = ROOT if name == "README.md" else ROOT / "docs"
    assert [line for line in PAGES[name].splitlines() if len(line) > 120] == []
    links = re.findall(r'\]\(([^)#:]+)\)|(?:src|srcset)="([^"]+)"', PAGES[name])
    assert [link for pair in links for link in pair if link and not (folder / link).exists()] == []


def _fenced(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page], re.MULTILINE | re.DOTALL)


def _run(line: str, var: Path) -> str:
    finished = _shell(line.replace(".venv/bin", str(PROGRAMS)), var.parent, COVET_VAR=str(var))
    assert finished.returncode == 0, finished.stdout
    return finished.stdout


def _shell(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-eu"],
        input=script,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(folder), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
