"""A sink whose refused rows do not end the restore at once: they may be loaded again later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.postgresql.archive.contents import Entry
from covetbackup.core.databases.postgresql.restore.part_sink import PartSink
from covetbackup.core.errors import SinkFailed

# Connection, login, resources, cancelling, the system, damage: a change in the database helps none.
_HOPELESS = ("08", "28", "53", "57", "58", "XX")


@dataclass(frozen=True, slots=True)
class RefusedRows:
    """The rows of `entry` that were refused with `error`, so that nothing of `piece` is loaded."""

    piece: MemberRange
    entry: Entry
    error: SinkFailed


class TentativeSink:
    """A sink that takes `piece` to its end; `failed` is told if its rows were refused."""

    def __init__(
        self, piece: MemberRange, sink: PartSink, failed: Callable[[RefusedRows], None]
    ) -> None:
        self._piece = piece
        self._sink = sink
        self._failed = failed
        self._has_failed = False

    def write(self, chunk: bytes) -> None:
        if not self._has_failed:
            try:
                self._sink.write(chunk)
            except SinkFailed as error:
                self._record(error)

    def commit(self) -> None:
        if not self._has_failed:
            try:
                self._sink.commit()
            except SinkFailed as error:
                self._record(error)

    def abort(self) -> None:
        self._sink.abort()

    def _record(self, error: SinkFailed) -> None:
        entry = self._sink.entry
        if entry is None or not _is_refusal(error.__cause__):
            raise error
        self._has_failed = True
        self._sink.roll_back()
        self._failed(RefusedRows(self._piece, entry, error))


def _is_refusal(cause: BaseException | None) -> bool:
    if not isinstance(cause, psycopg.Error) or cause.sqlstate is None:
        return False
    is_twice = isinstance(cause, psycopg.errors.UniqueViolation)
    return not is_twice and cause.sqlstate[:2] not in _HOPELESS
