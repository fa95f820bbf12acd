"""The backup of one snapshot: its pages are streamed while a thread counts the rows."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, TimeoutError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from covetbackup.core.databases.base import BackupSummary, Member, Probe, Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.sqlite.backup.pages import PageImage, read_pages
from covetbackup.core.databases.sqlite.inventory.build import take_inventory
from covetbackup.core.databases.sqlite.server.connection import translated
from covetbackup.core.errors import Incomplete
from covetbackup.core.progress import Progress

MEMBER = "main.sqlite"


@dataclass(frozen=True, slots=True)
class FileSnapshot:
    """A snapshot of the source: a connection and an image of the same state, and its moment.

    `prove_unchanged` raises `SourceFailed` at the end of the stream if the files read are no longer
    those that were opened. `journal_mode` is the source's, not that of a staged copy.
    """

    connection: sqlite3.Connection
    image: PageImage
    taken_at: datetime
    journal_mode: str
    position: str = ""
    prove_unchanged: Callable[[], None] = lambda: None


class SnapshotBackup:
    """The `BackupSession` of SQLite, whatever the method."""

    def __init__(
        self,
        state: FileSnapshot,
        counting: Future[Inventory],
        *,
        probe: Probe,
        method: str,
        progress: Progress,
    ) -> None:
        self._state = state
        self._counting = counting
        self._probe = probe
        self._method = method
        self._progress = progress
        self._read_whole = False

    def groups(self) -> Iterator[Sequence[Member]]:
        """Yield the one member, `main.sqlite`."""
        size = self._state.image.size_bytes
        yield (Member(MEMBER, self._source(), size, may_be_empty=size == 0),)

    @contextmanager
    def _source(self) -> Iterator[Iterator[bytes]]:
        yield self._pieces()

    def _pieces(self) -> Iterator[bytes]:
        yield from read_pages(self._state.image)
        self._state.prove_unchanged()
        self._read_whole = True

    def finish(self) -> BackupSummary:
        """Wait for the row counts. Raises `Incomplete`, or SQLite's error for a damaged table."""
        if not self._read_whole:
            raise Incomplete(f"{MEMBER} was not read to its end")
        inventory = self._await_inventory()
        position, moment = self._state.position, self._state.taken_at
        return BackupSummary(
            span=Span(position, position, "", started_at=moment, stopped_at=moment),
            inventory=inventory,
            probe=self._probe,
            method=self._method,
            warnings=_warnings(inventory),
        )

    def _await_inventory(self) -> Inventory:
        with translated(Path(self._probe.name)):
            while True:
                try:
                    inventory = self._counting.result(timeout=0.5)
                except TimeoutError:
                    self._progress.advance(0)
                else:
                    break
        settings = {**(inventory.settings or {}), "journal_mode": self._state.journal_mode}
        return replace(inventory, settings=settings)


@contextmanager
def count_in_thread(
    connection: sqlite3.Connection, budget_bytes: int
) -> Iterator[Future[Inventory]]:
    """Take the inventory in a thread, on the connection whose transaction is the snapshot.

    Nothing else may use the connection meanwhile. Leaving early interrupts the thread.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="sqlite-count") as executor:
        future = executor.submit(take_inventory, connection, budget_bytes)
        ended = threading.Event()
        future.add_done_callback(lambda _: ended.set())
        try:
            yield future
        finally:
            # An interrupt ends only the statement that runs now, not the next one: hence the loop.
            while not ended.is_set():
                connection.interrupt()
                ended.wait(0.02)


def _warnings(inventory: Inventory) -> tuple[str, ...]:
    uncounted = sum(not table.exact for table in inventory.tables)
    if not uncounted:
        return ()
    return (f"{uncounted} tables have estimated row counts: the database is above the budget",)
