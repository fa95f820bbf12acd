"""What README.md tells people to type works when it is typed."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from covetbackup.core.cli.exits import EXITS
from covetbackup.core.crypto.keyring import new_keys, write_new_keys
from covetbackup.core.manager import create_repository
from tests.shape.tree import ROOT

README = (ROOT / "README.md").read_text()


def test_the_walk_through_the_command_line_works(tmp_path: Path) -> None:
    script = _fenced("sh").replace(".venv/bin/python", sys.executable)
    finished = subprocess.run(
        ["sh", "-eu"],
        input=script.encode(),
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    printed = finished.stdout.decode()
    assert finished.returncode == 0, printed
    for line in ("1 backup\n", "no fault found at level content", "two chairs\n", "rotated "):
        assert line in printed
    assert list(tmp_path.iterdir()) == []


def test_the_ten_lines_of_python_work(tmp_path: Path) -> None:
    program = (
        _fenced("python").replace("/srv/", f"{tmp_path}/").replace('Path("', f'Path("{tmp_path}/')
    )
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.execute("CREATE TABLE orders AS SELECT 1 AS id")
    write_new_keys(new_keys(), tmp_path / "working.key", tmp_path / "recovery.key")
    create_repository(f"file://{tmp_path}/backups")
    exec(program, {})
    with closing(sqlite3.connect(tmp_path / "restored.sqlite")) as connection:
        assert connection.execute("SELECT id FROM orders").fetchall() == [(1,)]


def test_the_commands_that_set_the_dashboard_up_work(tmp_path: Path) -> None:
    lines = re.findall(r"^    (\.venv/bin/python manage\.py .*?)(?: +#.*)?$", README, re.MULTILINE)
    init, link, up, worker = lines
    for number, line in enumerate((init, link)):
        printed = _run(line, tmp_path / str(number))
        assert ("sign in as owner" in printed) is (line == init)
        assert ("/set-up/" in printed) is (line == link)
    for line in (up, worker):
        assert "usage: covetbackup" in _run(f"{line} --help", tmp_path / "0")


def _run(line: str, var: Path) -> str:
    finished = subprocess.run(
        ["sh", "-eu", "-c", line.replace(".venv/bin/python", sys.executable)],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "COVET_VAR": str(var)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert finished.returncode == 0, finished.stdout.decode()
    return finished.stdout.decode()


def test_every_exit_status_is_listed() -> None:
    assert dict(re.findall(r"^\| (\d+) \| (.*) \|$", README, re.MULTILINE)) == {
        str(status): why for status, why in EXITS.items()
    }


def _fenced(language: str) -> str:
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1
    return str(blocks[0])
