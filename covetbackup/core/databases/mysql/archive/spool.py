"""Scripts of any length, kept in files that have no name: collected, then rewritten.

A file lies in the directory for temporary files (TMPDIR) and is gone with this process, however
that ends. Programs of a database may be larger than what is right to hold in memory.
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
    """Collects a script."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by script and close

    def write(self, chunk: bytes) -> None:
        try:
            self._file.write(chunk)
        except OSError as error:
            raise _failure(error) from error

    def script(self) -> Script:
        """What was written; it stays after this is closed."""
        try:
            self._file.flush()
            return mmap(self._file.fileno(), 0, access=ACCESS_READ) if self._file.tell() else b""
        except OSError as error:
            raise _failure(error) from error

    def close(self) -> None:
        try:
            self._file.close()
        except OSError:
            pass  # what could not be written is not wanted any more


def rewritten(
    script: Script, pattern: re.Pattern[bytes], replace: Callable[[re.Match[bytes]], bytes]
) -> Script:
    """What `pattern.sub` gives, without holding it in memory."""
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
    """Give back its file at once, not when the last traceback that knows it is gone."""
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
