"""Reports and errors as they are printed, to a terminal and to a file."""

from __future__ import annotations

import io

import pytest

from covetbackup.core.cli.printing import print_error, print_report, table_lines
from covetbackup.core.cli.report import Report, TextTable
from covetbackup.core.errors import BadSetting
from covetbackup.core.text import duration_text, size_text
from tests.unit.cli.test_terminal import Terminal

TABLE = TextTable(("SIZE", "TABLE"), [("9 Bytes", "a"), ("10.0 KiB", "b")], numeric=frozenset({0}))


def test_a_table_is_aligned_in_a_file() -> None:
    assert list(table_lines(TABLE)) == ["    SIZE  TABLE", " 9 Bytes  a", "10.0 KiB  b"]
    assert list(table_lines(TextTable(("A", "B"), []))) == ["A  B"]


def test_a_report_in_a_file_is_plain_text() -> None:
    out = io.StringIO()
    print_report(Report({}, ["warning: \x1b[2Jred [bold]x[/bold] :smile:"], table=TABLE), out)
    *_, last = out.getvalue().splitlines()
    assert last == "warning: \\x1b[2Jred [bold]x[/bold] :smile:"


def test_on_a_terminal_names_neither_steer_nor_style(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "40")
    screen = Terminal()
    long = "x" * 90
    table = TextTable(("NAME", "KIND"), [("\x1b[2J[bold]a :smile:", "k"), (long, "k")])
    print_report(Report({}, ["error: \x1b[2J[red]a[/red]"], table=table), screen)
    shown = screen.getvalue()
    assert "\x1b[2J" not in shown and "\\x1b[2J[bold]a :smile:" in shown
    assert "\\x1b[2J[red]a[/red]" in shown
    assert shown.count("x") >= 90, "what is too wide is folded, never cut"


def test_an_error_is_printed_with_its_hint() -> None:
    out = io.StringIO()
    print_error(BadSetting("no such thing", "name another"), out)
    assert out.getvalue() == "error: no such thing\nhint: name another\n"


def test_sizes_and_durations_have_their_units() -> None:
    assert [size_text(size) for size in (0, 1, 1023, 1536)] == [
        *("0 Bytes", "1 Byte", "1023 Bytes", "1.5 KiB"),
    ]
    assert [duration_text(seconds) for seconds in (0.2, 59.6, 101)] == [
        *("0 seconds", "1 minute", "1 minute and 41 seconds"),
    ]
