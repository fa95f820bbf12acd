"""Runs one command: parses, calls, prints, and turns errors and signals into an exit status."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from types import FrameType
from typing import Any, TextIO

from covetbackup.core.cli.arguments import parser
from covetbackup.core.cli.exits import CANCELLED, exit_status
from covetbackup.core.cli.output import run_until_read
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.terminal import printable_text, terminal_progress
from covetbackup.core.errors import Cancelled, CovetError
from covetbackup.core.progress import Silent
from covetbackup.core.stream.disk import fault_of


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`exits.EXITS`). SIGINT and SIGTERM cancel: everything unfinished is
    undone before this returns."""
    return run_until_read(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    given = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _cancel)
    return _run(given)


def _run(given: argparse.Namespace) -> int:
    is_silent = given.json or given.quiet
    try:
        with nullcontext(Silent()) if is_silent else terminal_progress() as given.progress:
            report: Report = given.command(given)
    except CovetError as error:
        _print_error(given, error)
        return exit_status(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        fault = fault_of(error)
        _print_error(given, fault)
        return exit_status(fault)
    except Cancelled:
        print("cancelled; nothing unfinished was kept", file=sys.stderr)
        return CANCELLED
    _print_report(given, report)
    return report.status


def _cancel(number: int, frame: FrameType | None) -> None:
    # The second signal of an impatient person must not stop the cleaning up after the first.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise Cancelled(signal.Signals(number).name)


def _print_report(given: argparse.Namespace, report: Report) -> None:
    if given.json:
        _print_json(given, {"status": report.status, **report.data})
        return
    for line in report.lines:
        _print_line(line, _stream(given))


def _print_error(given: argparse.Namespace, error: CovetError) -> None:
    if given.json:
        fault = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
        }
        _print_json(given, {"status": exit_status(error), "error": fault})
        return
    _print_line(f"error: {error.message}", sys.stderr)
    if error.hint:
        _print_line(f"hint: {error.hint}", sys.stderr)
    if error.details:
        _print_line(f"details: {error.details}", sys.stderr)


def _print_json(given: argparse.Namespace, data: dict[str, Any]) -> None:
    # In ASCII, which every encoding of a terminal or pipe can hold.
    print(json.dumps(data), file=_stream(given))


def _print_line(line: str, stream: TextIO) -> None:
    encoding = stream.encoding or "utf-8"
    text = printable_text(line).encode(encoding, errors="backslashreplace")
    print(text.decode(encoding), file=stream)


def _stream(given: argparse.Namespace) -> TextIO:
    """Where to talk: not into the bytes that `cat` writes to standard output."""
    return sys.stderr if given.takes_output else sys.stdout
