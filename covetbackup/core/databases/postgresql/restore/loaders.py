"""Sinks of a restore: pg_restore fed by a pipe, or in parallel from a spool; small scripts."""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.server.older_server import (
    SETTING,
    OlderServerSink,
    tolerant_arguments,
)
from covetbackup.core.errors import SinkFailed, StorageFull, TooLarge
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.command import ChildFile, Environment
from covetbackup.core.stream.process import CommandSink, CommandSource
from covetbackup.core.stream.secret import Secret

_SCRIPT_BYTES = 64 << 20
_VERBOSE_BYTES = 32 << 20  # it prints about 150 bytes for each entry


Running = CommandSink | OlderServerSink


@dataclass(frozen=True, slots=True)
class PgRestore:
    """Runs of pg_restore on the database that is filled.

    `idle` is called while it works and may raise `Cancelled`. If the server is too old for the
    program (see `older_server`), it `continues_after_errors`, with one job.
    """

    argv: Sequence[str]
    env: Environment
    secrets: Sequence[Secret]
    idle: Callable[[], None]
    continues_after_errors: bool = False

    def start(self, *arguments: str | ChildFile) -> Running:
        """Start it with more `arguments`, as a sink of what it reads."""
        return self._tolerant(
            CommandSink(
                [*self.argv, *self._adapted(arguments)],
                env=self.env,
                secrets=self.secrets,
                idle=self.idle,
            )
        )

    def start_verbose(self, *arguments: str | ChildFile) -> Running:
        """Start it so that its messages name each entry."""
        return self._tolerant(
            CommandSink(
                [*self.argv, "--verbose", *self._adapted(arguments)],
                env=self.env,
                secrets=self.secrets,
                idle=self.idle,
                message_bytes=_VERBOSE_BYTES,
            )
        )

    def _adapted(self, arguments: Sequence[str | ChildFile]) -> Sequence[str | ChildFile]:
        return tolerant_arguments(arguments) if self.continues_after_errors else arguments

    def _tolerant(self, running: CommandSink) -> Running:
        return OlderServerSink(running) if self.continues_after_errors else running

    def script(self, *arguments: str | ChildFile) -> bytes:
        """Return the statements that it would run, as one text for the server."""
        options = [option for option in self.argv if not option.startswith("--dbname=")]
        pieces = []
        with CommandSource([*options, *arguments, "--file=-"]) as chunks:
            for chunk in chunks:
                pieces.append(chunk)
                self.idle()
        return server_script(b"".join(pieces)).replace(SETTING, b"", 1)


_FOR_PSQL = re.compile(rb"^\\(?:un)?restrict \w+\n", re.MULTILINE)


def server_script(script: bytes) -> bytes:
    """Return a script of pg_restore without its psql commands, its first and last lines."""
    begin, end = script.find(b"\nSET "), script.rfind(b"\n-- PostgreSQL database dump complete")
    return _FOR_PSQL.sub(b"", script[:begin]) + script[begin:end]


@dataclass(frozen=True, slots=True)
class SpoolFile:
    """A `ChildFile`: an open file without a path, passed to a program as an argument."""

    descriptor: int

    def open(self) -> int:
        return os.dup(self.descriptor)

    def argument(self, descriptor: int) -> str:
        return f"/proc/self/fd/{descriptor}"


@contextmanager
def memory_file(name: str, content: bytes) -> Iterator[SpoolFile]:
    """Create a file in memory with this `content`; `name` only appears in /proc."""
    with open(os.memfd_create(name, os.MFD_CLOEXEC), "wb", buffering=0) as file:
        rest = memoryview(content)
        while rest:
            rest = rest[file.write(rest) :]
        yield SpoolFile(file.fileno())


def start_single_stream(
    command: PgRestore, jobs: int, expected_bytes: int, *arguments: str | ChildFile
) -> Sink:
    """Return the sink of a dump in one stream.

    Several jobs load only its data in parallel, as two can deadlock over the indexes of partitions.
    Raises as `SpooledLoad` does.
    """
    if jobs == 1 or "--section=data" not in arguments:
        return command.start(*arguments)
    return SpooledLoad(command, *arguments, jobs=jobs, expected_bytes=expected_bytes)


class SpooledLoad:
    """A sink that spools the archive for a parallel pg_restore, which needs to seek.

    The file has no name; it is in the directory for temporary files (TMPDIR) and disappears with
    this process. Raises `StorageFull` at once when `expected_bytes` do not fit there.
    """

    def __init__(
        self,
        command: PgRestore,
        *arguments: str | ChildFile,
        jobs: int,
        expected_bytes: int,
    ) -> None:
        directory = tempfile.gettempdir()
        free = shutil.disk_usage(directory).free
        if free < expected_bytes:
            raise StorageFull(
                f"a parallel restore needs about {expected_bytes} bytes in {directory},"
                f" which has {free}",
                "restore with one job, or let TMPDIR name a larger place",
            )
        self._command = command
        self._arguments = (*arguments, f"--jobs={jobs}")
        self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - closed by commit and abort
        self._running: Running | None = None

    def write(self, chunk: bytes) -> None:
        try:
            self._spool.write(chunk)
        except OSError as error:
            raise _spool_error(error) from error

    def commit(self) -> None:
        try:
            self._spool.flush()
        except OSError as error:
            raise _spool_error(error) from error
        self._running = self._command.start(*self._arguments, SpoolFile(self._spool.fileno()))
        self._running.commit()
        self._spool.close()

    def abort(self) -> None:
        if self._running is not None:
            self._running.abort()
        self._spool.close()


def _spool_error(error: OSError) -> StorageFull | SinkFailed:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageFull(
            "no space for the dump in the directory for temporary files",
            "restore with one job, or let TMPDIR name a larger place",
        )
    return SinkFailed(f"cannot write a temporary file: {error.strerror}")


class CollectingSink:
    """A sink that collects at most `most` bytes and passes them to `run` at the commit."""

    def __init__(self, run: Callable[[bytes], None], most: int = _SCRIPT_BYTES) -> None:
        self._run = run
        self._most = most
        self._script = bytearray()

    def write(self, chunk: bytes) -> None:
        self._script += chunk
        if len(self._script) > self._most:
            raise TooLarge(f"the script is longer than {self._most} bytes")

    def commit(self) -> None:
        self._run(bytes(self._script))

    def abort(self) -> None:
        self._script.clear()
