"""The demo's last words: a line for each step, a column for each database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from covetbackup.core.text import size_text
from tests.demo.walk import Result


def lines(results: Sequence[Result]) -> Iterable[str]:
    rows = [
        ("", [result.kind for result in results]),
        ("tables", [str(result.tables) for result in results]),
        ("rows", [f"{result.rows:,}" for result in results]),
        ("read", [size_text(result.plain_bytes) for result in results]),
        ("stored, in each of 2 places", [size_text(result.stored_bytes) for result in results]),
        ("ratio", [f"{result.plain_bytes / result.stored_bytes:.2f}" for result in results]),
        ("back up to both", _seconds(results, "backup")),
        ("verify content of both", _seconds(results, "verify")),
        ("restore and compare", _seconds(results, "restore")),
        ("every row again, by checksum", _seconds(results, "compare")),
        ("result", ["DIFFERS" if result.faults else "identical" for result in results]),
    ]
    for name, cells in rows:
        yield f"{name:30}" + "".join(f"{cell:>14}" for cell in cells)


def _seconds(results: Sequence[Result], step: str) -> list[str]:
    return [f"{result.seconds[step]:.2f} s" for result in results]
