"""Standard output and error that end early: a reader that has read enough, a disk that is full."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from covetbackup.core.cli.exits import FAILED, READER_LEFT

_Result = TypeVar("_Result")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def run_until_read(run: Callable[[], _Result]) -> _Result | int:
    """Return what `run` does, with all output written.

    When the reader of the output closes it first (`| head -1`), the result is `READER_LEFT`, and
    when the output has no room, `FAILED`; neither prints a traceback.
    """
    try:
        try:
            return run()
        finally:
            # Also when it raised SystemExit: else the interpreter writes it out, and complains.
            sys.stdout.flush()
            sys.stderr.flush()
    except BrokenPipeError:
        _discard_output()
        return READER_LEFT
    except OSError as error:
        # A file's own error has its name, or is translated where the file is written.
        if error.errno not in _FULL or error.filename is not None:
            raise
        reason = (error.strerror or str(error)).lower()
        with suppress(OSError):
            print(f"error: the output cannot be written: {reason}", file=sys.stderr, flush=True)
        _discard_output()
        return FAILED


def _discard_output() -> None:
    """Let the interpreter's own last flush succeed."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
