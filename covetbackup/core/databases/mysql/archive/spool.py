"""Scripts of any length in unnamed temporary files, collected and then rewritten.

A file lies in the directory for temporary files (TMPDIR) and is gone with this process, however
that ends. The stored objects of a database may be too large for memory.
"""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Callable
from mmap import ACCESS_READ, mmap

from covetbackup.core.errors import SinkFailed, StorageFull

Script = bytes | mmap


class Spool:
    """A temporary file that collects a script."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by script and close

    def write(self, chunk: bytes) -> None:
        """Append `chunk`. Raises `StorageFull` or `SinkFailed`."""
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _failure(error) from error

    def script(self) -> Script:
        """Return what was written; it remains valid after `close`."""
        try:
            self._file.flush()
            return mmap(self._file.fileno(), 0, access=ACCESS_READ) if self._file.tell() else b""
        except OSError as error:
            raise _failure(error) from error

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except OSError:
            pass  # what could not be written is not wanted any more


def rewritten(
    script: Script, pattern: re.Pattern[bytes], replace: Callable[[re.Match[bytes]], bytes]
) -> Script:
    """Return the result of `pattern.sub` on `script` without holding it in memory."""
    spool = Spool()
    try:
        at = 0
        for match in pattern.finditer(script):
            _copy(script, at, match.start(), spool)
            spool.write(replace(match))
            at = match.end()
        _copy(script, at, len(script), spool)
        return spool.script()
    finally:
        spool.close()


def close(script: Script) -> None:
    """Release the script's file now, not when the last traceback that refers to it is gone."""
    if isinstance(script, mmap):
        script.close()


_COPIED = 1 << 20


def _copy(script: Script, begin: int, end: int, spool: Spool) -> None:
    for at in range(begin, end, _COPIED):
        spool.write(script[at : min(at + _COPIED, end)])


def _failure(error: OSError) -> StorageFull | SinkFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            "no room for a script among the temporary files", "let TMPDIR name a larger place"
        )
    return SinkFailed(f"cannot keep a script in a temporary file: {error.strerror}")
