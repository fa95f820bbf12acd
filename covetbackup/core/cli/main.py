"""Runs one command: parses, calls, prints, and turns errors and signals into an exit status."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from covetbackup.core.cli.arguments import parser
from covetbackup.core.cli.exits import CANCELLED, READER_LEFT, exit_status
from covetbackup.core.cli.report import Report
from covetbackup.core.errors import Cancelled, CovetError


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`exits.EXITS`). SIGINT and SIGTERM cancel: everything unfinished is
    undone before this returns."""
    given = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _cancel)
    try:
        report: Report = given.command(given)
    except CovetError as error:
        _print_error(given, error)
        return exit_status(error)
    except Cancelled:
        print("cancelled; nothing unfinished was kept", file=sys.stderr)
        return CANCELLED
    except BrokenPipeError:
        return _reader_left()
    _print_report(given, report)
    return report.status


def _cancel(number: int, frame: FrameType | None) -> None:
    # The second signal of an impatient person must not stop the cleaning up after the first.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise Cancelled(signal.Signals(number).name)


def _reader_left() -> int:
    """Whoever read standard output has had enough, as `pg_restore -l` after the contents."""
    # The interpreter flushes standard output once more when it ends; that must not fail again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return READER_LEFT


def _print_report(given: argparse.Namespace, report: Report) -> None:
    # `cat` has written bytes to standard output: what is said about them goes elsewhere.
    stream = sys.stderr if report.is_aside else sys.stdout
    if given.json:
        print(json.dumps({"status": report.status, **report.data}, ensure_ascii=False), file=stream)
    else:
        for line in report.lines:
            print(_printable(line), file=stream)


def _print_error(given: argparse.Namespace, error: CovetError) -> None:
    if given.json:
        fault = {"code": error.code, "message": error.message, "hint": error.hint}
        print(json.dumps({"status": exit_status(error), "error": fault}, ensure_ascii=False))
        return
    print(f"error: {_printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {_printable(error.hint)}", file=sys.stderr)


def _printable(text: str) -> str:
    """`text` without what would steer a terminal: names come from databases and storages."""
    return "".join(c if c.isprintable() or c in "\n\t" else repr(c)[1:-1] for c in text)
