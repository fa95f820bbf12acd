"""One snapshot that several dump programs and our own session share.

MySQL and MariaDB cannot export a snapshot from one session to another. So all writes are blocked
for the moment in which every session opens its own: FLUSH TABLES WITH READ LOCK, start them, wait
until each reports its transaction, read the position in the binary log, UNLOCK TABLES.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql.backup.dump import SNAPSHOT_IS_OPEN
from covetbackup.core.databases.mysql.backup.position import LogPosition, read_position
from covetbackup.core.databases.mysql.server.connection import Connection, code_of
from covetbackup.core.errors import CovetError

LOCK_SECONDS = 10
_OPENING_SECONDS = 5  # longer than this no writes are blocked
_NO_LOCK = {
    ER.LOCK_WAIT_TIMEOUT: f"another statement blocked the lock for {LOCK_SECONDS} s",
    ER.SPECIFIC_ACCESS_DENIED_ERROR: "this account lacks RELOAD",
    ER.ACCESS_DENIED_ERROR: "this server allows no account to lock all tables",
}


class NoLock(CovetError):
    """The snapshot cannot be shared; the message says why."""


class RowsSource(Protocol):
    """A source of rows whose snapshot is taken on entry, or a moment later."""

    @property
    def messages(self) -> str:
        """The output of a program on stderr."""

    def __enter__(self) -> Iterator[bytes]: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def wait_for_message(self, text: str, seconds: float) -> bool: ...


@dataclass(frozen=True, slots=True)
class SnapshotMoment:
    """The moment of a snapshot.

    `position` is None for the reason `why_not`; `locked_ms` is how long writes were blocked, 0 if
    they were not.
    """

    taken_at: datetime
    position: LogPosition | None = None
    why_not: str = ""
    locked_ms: int = 0


def open_together(
    leader: Connection, sources: Sequence[RowsSource], programs: ExitStack
) -> tuple[list[Iterator[bytes]], SnapshotMoment]:
    """Start the dump programs `sources` and a transaction on `leader`, all with one snapshot.

    `programs` ends them; the iterators that are returned have not been read from. Raises `NoLock`
    if writes cannot be blocked here and now; then none of them runs.
    """
    _lock(leader)
    locked_at = time.monotonic()
    try:
        leader.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        taken_at = utc_now()
        with ExitStack() as started:
            pieces = [started.enter_context(source) for source in sources]
            for source in sources:
                _await_snapshot(source, _OPENING_SECONDS - (time.monotonic() - locked_at))
            position, why_not = read_position(leader)
            programs.push(started.pop_all())
    finally:
        leader.execute("UNLOCK TABLES")
        locked_ms = round((time.monotonic() - locked_at) * 1000)
    return pieces, SnapshotMoment(taken_at, position, why_not, locked_ms)


def _await_snapshot(source: RowsSource, seconds: float) -> None:
    """Raise `NoLock` if the program has not reported its snapshot within `seconds`."""
    if not source.wait_for_message(SNAPSHOT_IS_OPEN, seconds):
        raise NoLock(f"a dump program did not begin within {_OPENING_SECONDS} s")


def _lock(leader: Connection) -> None:
    leader.execute(f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
    try:
        leader.execute("FLUSH TABLES WITH READ LOCK")
    except pymysql.err.Error as error:
        # The session may keep the locks that it got before the timeout.
        leader.execute("UNLOCK TABLES")
        if code_of(error) not in _NO_LOCK:
            raise
        raise NoLock(_NO_LOCK[code_of(error)]) from error


def utc_now() -> datetime:
    """Return the current time."""
    return datetime.now(UTC)
