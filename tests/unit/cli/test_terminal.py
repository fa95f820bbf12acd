"""What the command line shows while it works."""

from __future__ import annotations

import io
import re

import pytest

from covetbackup.core.cli.terminal import progress_on, terminal_progress

_CONTROL = re.compile(r"\x1b\[[?\d;]*[A-Za-z]")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of 120 columns, whatever runs the tests."""
    for name, value in {"COLUMNS": "120", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_the_bar_is_finished_before_anything_else_is_printed() -> None:
    screen = Terminal()

    with terminal_progress(screen) as progress:
        progress.phase("storing dump.pgc", 100)
        progress.advance(100)

    assert _CONTROL.sub("", screen.getvalue()).rstrip(" ").endswith("/s\n")
    assert screen.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


def test_a_bar_shows_phase_share_size_and_rate() -> None:
    screen = Terminal()
    with terminal_progress(screen) as progress:
        progress.phase("storing dump.pgc", 4096)
        progress.advance(1024)
    last = _CONTROL.sub("", screen.getvalue()).rpartition("\r")[2]
    assert re.search(r"storing dump.pgc .* 25% +1.0 KiB .*/s", last), last


def test_without_colours_no_colour_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Terminal()
    with terminal_progress(screen) as progress:
        progress.phase("storing dump.pgc", 100)
        progress.advance(50)
    assert not re.search(r"\x1b\[[\d;]*3\d", screen.getvalue())


def test_a_log_gets_a_line_for_each_phase_and_nothing_else() -> None:
    log = io.StringIO()
    with terminal_progress(log) as progress:
        progress.phase("storing dump.pgc", 100)
        progress.advance(100)
        progress.note("the disk is slow")
    assert log.getvalue() == "storing dump.pgc\n  the disk is slow\n"


def test_names_do_not_steer_the_terminal() -> None:
    for stream in (Terminal(), io.StringIO()):
        progress = progress_on(stream)
        progress.phase("restoring \x1b]0;evil\x07")
        progress.note("role \x1b[31mred is missing")
        progress.close()

        shown = stream.getvalue()
        assert "\x1b]0;" not in shown and "\x07" not in shown and "\x1b[31m" not in shown
        assert "\\x1b[31mred" in shown
