"""What the command line shows while it works."""

from __future__ import annotations

import io

from covetbackup.core.cli.terminal import TerminalProgress, terminal_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_finished_before_anything_else_is_printed() -> None:
    screen = Terminal()

    with terminal_progress(screen) as progress:
        progress.phase("storing dump.pgc", 100)
        progress.advance(100)

    assert screen.getvalue().endswith("/s\n")


def test_names_do_not_steer_the_terminal() -> None:
    for stream in (Terminal(), io.StringIO()):
        progress = TerminalProgress(stream)
        progress.phase("restoring \x1b]0;evil\x07")
        progress.note("role \x1b[31mred is missing")
        progress.close()

        shown = stream.getvalue().replace("\r\x1b[K", "")
        assert "\x1b" not in shown and "\x07" not in shown
        assert "\\x1b[31mred" in shown
