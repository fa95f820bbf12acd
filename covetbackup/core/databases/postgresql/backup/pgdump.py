"""Runs of pg_dump on the leader's snapshot: for the whole archive, or its table of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.databases.postgresql.archive.contents import TableOfContents
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.backup.snapshot import LOCK_SECONDS
from covetbackup.core.databases.postgresql.server.access import ClientTool
from covetbackup.core.databases.postgresql.server.connection import conninfo
from covetbackup.core.errors import CovetError, Incomplete, SourceFailed
from covetbackup.core.stream.process import CommandSource

_LONGEST_CONTENTS = 1 << 30  # about 5 million objects


@dataclass(frozen=True, slots=True)
class PgDump:
    """A pg_dump of `database` in the exported `snapshot`.

    `busy_error` returns the error for a lock that pg_dump waited for in vain; `warn` gets each
    warning that pg_dump prints.
    """

    tool: ClientTool
    database: str
    snapshot: str
    busy_error: Callable[[], CovetError]
    warn: Callable[[str], None]

    @contextmanager
    def archive(self) -> Iterator[Iterator[bytes]]:
        """Return a source of the whole archive in custom format."""
        source = CommandSource(
            [
                self.tool.program,
                "--format=custom",
                "--compress=0",
                f"--snapshot={self.snapshot}",
                f"--lock-wait-timeout={LOCK_SECONDS}s",
                "--no-password",
                f"--dbname={conninfo(self.database)}",
            ],
            env=self.tool.environment,
            secrets=self.tool.secrets,
        )
        try:
            with source as chunks:
                yield chunks
        except SourceFailed as error:
            raise self._explain(error) from error
        for line in source.messages.splitlines():
            if line.startswith("pg_dump: warning"):
                self.warn(line)

    def contents(self, waiting: Callable[[], None]) -> TableOfContents:
        """Return the table of contents; pg_dump is stopped once it has written that.

        `waiting` is called often and may raise. Raises `Unsupported` for contents that a parallel
        dump cannot have, `Incomplete` for none.
        """
        beginning = bytearray()
        next_try = 0
        with self.archive() as chunks:
            for chunk in chunks:
                waiting()
                beginning += chunk
                # When nothing more arrives, all of it may have; else only after twice as much.
                if chunk and len(beginning) < next_try:
                    continue
                next_try = 2 * len(beginning)
                contents = _read_if_complete(beginning)
                if contents is not None:
                    return contents
        contents = _read_if_complete(beginning)
        if contents is None:
            raise Incomplete("pg_dump ended well, but what it wrote is no readable archive")
        return contents

    def _explain(self, error: SourceFailed) -> CovetError:
        # The server's message may be in any language; this part is pg_dump's.
        return self.busy_error() if "LOCK TABLE" in error.message else error


def _read_if_complete(beginning: bytearray) -> TableOfContents | None:
    try:
        contents = read_contents(bytes(beginning))
    except NeedsMore:
        if len(beginning) > _LONGEST_CONTENTS:
            raise Unsupported(f"its contents are longer than {_LONGEST_CONTENTS} bytes") from None
        return None
    if contents.is_compressed:
        raise Unsupported("its data is compressed")
    return contents
