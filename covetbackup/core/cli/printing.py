"""Prints reports and errors: styled by rich on a terminal, plain text anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

from covetbackup.core.cli.report import Report, TextTable
from covetbackup.core.errors import CovetError
from covetbackup.core.text import encodable_text


def print_report(report: Report, stream: TextIO) -> None:
    """Print the table, if there is one, and the lines of `report`."""
    if report.table is not None:
        print_table(report.table, stream)
    for line in report.lines:
        print_line(line, stream)


def print_error(error: CovetError, stream: TextIO) -> None:
    """Print message, hint and details of `error`, each on a line with its prefix."""
    print_line(f"error: {error.message}", stream)
    if error.hint:
        print_line(f"hint: {error.hint}", stream)
    if error.details:
        print_line(f"details: {error.details}", stream)


def print_table(table: TextTable, stream: TextIO) -> None:
    """Print `table`; outside a terminal one line for each row, the columns aligned."""
    if stream.isatty():
        # Only here: rich takes longer to import than all of the engine.
        from covetbackup.core.cli import rich_output

        rich_output.print_table(table, stream)
        return
    for line in table_lines(table):
        stream.write(f"{encodable_text(line, stream)}\n")


def print_line(line: str, stream: TextIO) -> None:
    """Print `line` with everything escaped that would steer a terminal."""
    if stream.isatty():
        from covetbackup.core.cli import rich_output

        rich_output.print_line(line, stream)
        return
    stream.write(f"{encodable_text(line, stream)}\n")


def table_lines(table: TextTable) -> Iterator[str]:
    """Yield the head line and a line for each row of `table`, without spaces at their ends."""
    rows = [table.headers, *table.rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if index in table.numeric else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()
