"""Every page of the dashboard over 500 databases of 400 backups each, in both kinds of catalog."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.bench import report
from tests.bench.measure import Size, work_folder
from tests.support.postgres_server import postgres_binaries, run_server

_ROOM = 3 << 30
Figures = dict[str, dict[str, Any]]


def run(size: Size) -> None:
    """Queries, processor milliseconds of dashboard and catalog, and milliseconds that passed, the
    least of some rounds. Neighbours on the machine change the last figure most."""
    databases, backups_each = (50, 100) if size.quick else (500, 400)
    found: dict[str, Figures] = {}
    with work_folder(_ROOM) as folder:
        for name, catalog in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            (folder / name).mkdir()
            with catalog() as url:
                arguments = (databases, backups_each, 2 if size.quick else 7)
                found[name] = _figures(folder / name, url, *arguments)
    report.note(f"pages over {databases * backups_each} backups: queries, ms of processor, ms")
    report.note("target: at most 20 queries and 150 ms; 3 ms for the poll")
    _print(found)


@contextmanager
def _sqlite() -> Iterator[str]:
    yield ""


@contextmanager
def _postgresql() -> Iterator[str]:
    with run_server(postgres_binaries()[-1]) as server:
        server.create_database("site")
        user = f"postgres:{quote(server.password.reveal())}"
        yield f"postgresql://{user}@127.0.0.1:{server.port}/site?sslmode=disable"


def _figures(folder: Path, url: str, *arguments: int) -> Figures:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVET_")}
    finished = subprocess.run(
        [sys.executable, "-m", "tests.bench.site", *map(str, arguments)],
        env=kept | {"COVET_VAR": str(folder), "DATABASE_URL": url, "COVET_LOG_LEVEL": "ERROR"},
        stdout=subprocess.PIPE,
        check=True,
    )
    rows = map(json.loads, finished.stdout.splitlines())
    return {row.pop("name"): row for row in rows}


def _print(found: dict[str, Figures]) -> None:
    report.row(["", *(cell for name in found for cell in (name, "cpu ms", "ms"))])
    for page in next(iter(found.values())):
        report.row([page[:31], *_cells(page, found)])
    for name, figures in found.items():
        slowest = max(figures, key=lambda page: figures[page]["cpu_ms"])
        most = max(row["queries"] for row in figures.values())
        report.note(
            f"{name}: {len(figures)} pages, at most {most} queries; "
            f"most work, {figures[slowest]['cpu_ms']:.0f} ms, is {slowest}"
        )


def _cells(page: str, found: dict[str, Figures]) -> Iterator[str]:
    for figures in found.values():
        row = figures.get(page)
        yield from (
            (str(row["queries"]), f"{row['cpu_ms']:.1f}", f"{row['wall_ms']:.1f}")
            if row
            else ("", "", "")
        )
