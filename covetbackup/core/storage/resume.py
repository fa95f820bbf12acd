"""A source that survives cuts: reconnects at the byte it had reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from covetbackup.core.errors import StorageUnavailable
from covetbackup.core.storage.retry import GaveUp, Retry
from covetbackup.core.stream.base import Source


@contextmanager
def resume_reads(connect: Callable[[int], Source], retry: Retry) -> Iterator[Iterator[bytes]]:
    """Read from `connect(done)`, which gives the bytes after the first `done`: itself a source.

    Each byte that arrives earns a fresh set of tries, so a long object may be cut any number of
    times; raises `StorageUnavailable` when `retry` gives up without one byte of progress.
    """
    with ExitStack() as connection:
        reading = _Reading(connect, retry, connection)
        reading.start()
        yield reading.chunks()


class _Reading:
    def __init__(
        self, connect: Callable[[int], Source], retry: Retry, connection: ExitStack
    ) -> None:
        self._connect = connect
        self._retry = retry
        self._connection = connection
        self._current: Iterator[bytes] = iter(())
        self._done = 0

    def start(self) -> None:
        self._retry(self._reconnect)

    def chunks(self) -> Iterator[bytes]:
        while (chunk := self._next()) is not None:
            self._done += len(chunk)
            yield chunk

    def _next(self) -> bytes | None:
        try:
            return next(self._current, None)
        except GaveUp:
            raise
        except StorageUnavailable:
            return self._retry(self._next_of_new_connection)

    def _next_of_new_connection(self) -> bytes | None:
        self._reconnect()
        return next(self._current, None)

    def _reconnect(self) -> None:
        self._connection.close()
        self._current = self._connection.enter_context(self._connect(self._done))
