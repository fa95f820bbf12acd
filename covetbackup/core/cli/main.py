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
from covetbackup.core.cli.printing import print_error, print_line, print_report
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.terminal import terminal_progress
from covetbackup.core.errors import Cancelled, CovetError
from covetbackup.core.progress import Silent
from covetbackup.core.stream.disk import storage_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (`exits.EXITS`).

    SIGINT and SIGTERM cancel: everything unfinished is undone before this returns.
    """
    return run_until_read(lambda: _main(arguments))


def _main(arguments: Sequence[str] | None) -> int:
    args = parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _cancel)
    return _run(args)


def _run(args: argparse.Namespace) -> int:
    is_silent = args.json or args.quiet
    try:
        with nullcontext(Silent()) if is_silent else terminal_progress() as args.progress:
            report: Report = args.command(args)
    except CovetError as error:
        _print_error(args, error)
        return exit_status(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        fault = storage_error(error)
        _print_error(args, fault)
        return exit_status(fault)
    except Cancelled:
        print_line("cancelled; nothing unfinished was left behind", sys.stderr)
        return CANCELLED
    _print_report(args, report)
    return report.status


def _cancel(number: int, frame: FrameType | None) -> None:
    # A second signal must not stop the cleaning up after the first.
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise Cancelled(signal.Signals(number).name)


def _print_report(args: argparse.Namespace, report: Report) -> None:
    if args.json:
        _print_json(args, {"status": report.status, **report.data})
        return
    print_report(report, _stream(args))


def _print_error(args: argparse.Namespace, error: CovetError) -> None:
    if args.json:
        fault = {
            "code": error.code,
            "message": error.message,
            "hint": error.hint,
            "details": error.details,
        }
        _print_json(args, {"status": exit_status(error), "error": fault})
        return
    print_error(error, sys.stderr)


def _print_json(args: argparse.Namespace, data: dict[str, Any]) -> None:
    # In ASCII, which every encoding of a terminal or pipe can hold.
    print(json.dumps(data), file=_stream(args))


def _stream(args: argparse.Namespace) -> TextIO:
    """Return where reports go: not into the bytes that `cat` writes to standard output."""
    return sys.stderr if args.takes_output else sys.stdout
