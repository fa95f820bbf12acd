"""Output on a terminal by rich: bars, tables and coloured lines.

Imported only where the output is a terminal. `NO_COLOR` and `TERM=dumb` are heeded by rich.
"""

from __future__ import annotations

import time
from typing import TextIO

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table as RichTable
from rich.text import Text

from covetbackup.core.cli.report import TextTable
from covetbackup.core.text import encodable_text, size_text

_INTERVAL_SECONDS = 0.2
_STYLES = {
    "error:": "bold red",
    "warning:": "yellow",
    "hint:": "cyan",
    "note:": "cyan",
    "details:": "dim",
}


def console_on(stream: TextIO) -> Console:
    """Return a console that prints text as it is: no markup, no emoji codes, no guessed colours."""
    return Console(file=stream, highlight=False, markup=False, emoji=False)


class BarProgress:
    """A `Progress` on a terminal: phase, share of the total where it is known, bytes and rate.

    Drawn in the caller's thread only, so that an output that is closed is noticed there.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._console = console_on(stream)
        self._bar: Progress | None = None
        self._done = 0
        self._started = self._drawn = time.monotonic()

    def phase(self, name: str, total: int | None = None) -> None:
        self.close()
        self._done, self._started = 0, time.monotonic()
        self._bar = Progress(
            *_columns(is_measured=bool(total)),
            console=self._console,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._bar.start()
        name = encodable_text(name, self._stream)
        self._bar.add_task(name, total=total or None, size="", rate="")
        self._draw()

    def advance(self, count: int) -> None:
        self._done += count
        if time.monotonic() - self._drawn >= _INTERVAL_SECONDS:
            self._draw()

    def note(self, text: str) -> None:
        self.close()
        self._console.print(Text(f"  {encodable_text(text, self._stream)}"), soft_wrap=True)

    def close(self) -> None:
        """Draw the bar of the current phase for the last time and end its line."""
        if self._bar is not None:
            self._draw()
            self._bar.stop()
            self._bar = None

    def _draw(self) -> None:
        if self._bar is None:
            return
        self._drawn = time.monotonic()
        rate = int(self._done / max(self._drawn - self._started, 1e-6))
        figures = {"size": size_text(self._done), "rate": f"{size_text(rate)}/s"}
        shown = figures if self._done else {"size": "", "rate": ""}
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=self._done, size=shown["size"], rate=shown["rate"])
        self._bar.refresh()


def _columns(*, is_measured: bool) -> list[ProgressColumn]:
    share: list[ProgressColumn] = [BarColumn(24), TaskProgressColumn()] if is_measured else []
    rest: list[ProgressColumn] = [TimeRemainingColumn(compact=True)] if is_measured else []
    return [
        TextColumn("{task.description:<32}", markup=False),
        *share,
        TextColumn("{task.fields[size]:>10}", markup=False),
        *rest,
        TextColumn("{task.fields[rate]}", markup=False),
    ]


def print_table(table: TextTable, stream: TextIO) -> None:
    """Print `table`; cells that are too wide for the terminal go on in further lines, whole."""
    shown = RichTable(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for index, header in enumerate(table.headers):
        justify = "right" if index in table.numeric else "left"
        shown.add_column(header, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in table.rows:
        shown.add_row(*(Text(encodable_text(cell, stream)) for cell in row))
    console_on(stream).print(shown)


def print_line(line: str, stream: TextIO) -> None:
    """Print `line`, a word such as "warning:" at its beginning in its colour."""
    text = Text(encodable_text(line, stream))
    prefix = line.split(" ", 1)[0]
    if prefix in _STYLES:
        text.stylize(_STYLES[prefix], 0, len(prefix))
    console_on(stream).print(text, soft_wrap=True)
