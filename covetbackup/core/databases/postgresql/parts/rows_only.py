"""Rows of a backup into tables that are there already, in one transaction: all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType

from covetbackup.core.databases.base import Piece, RestoreOptions
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.postgresql.access import Access
from covetbackup.core.databases.postgresql.connection import translated
from covetbackup.core.databases.postgresql.load import ScriptSink
from covetbackup.core.databases.postgresql.parts.listing import head_of
from covetbackup.core.databases.postgresql.parts.loading import Loader, PartSink
from covetbackup.core.databases.postgresql.parts.names import HEAD
from covetbackup.core.databases.postgresql.parts.places import Places
from covetbackup.core.databases.postgresql.parts.restoring import (
    HEAD_BYTES,
    prepare,
    readable_contents,
)
from covetbackup.core.databases.postgresql.toc.closure import chosen_rows, rows_of
from covetbackup.core.databases.postgresql.toc.values import Contents
from covetbackup.core.databases.selection import Chosen, Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink


class RowsRestore:
    """A `RestoreSession` whose scratch target is a transaction on the real one."""

    kept_as = ""

    def __init__(
        self, access: Access, options: RestoreOptions, selection: Selection, progress: Progress
    ) -> None:
        if options.replace or options.extra:
            raise BadSetting("rows go into tables that are there: nothing is replaced or owned")
        self.chosen: Chosen | None = None
        self._access = access
        self._selection = selection
        self._expected = options.expected
        self._progress = progress
        self._contents: Contents | None = None
        self._places: Places | None = None
        self._loaded: dict[str, int] = {}

    def __enter__(self) -> RowsRestore:
        with translated(self._access.settings):
            self._connection = self._access.connect()
            self._connection.execute("BEGIN")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()  # without a commit this undoes everything

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[Piece]]:
        yield (Piece(head_of(members)),)
        contents = self._contents
        if contents is None:
            raise BadSetting(f"{HEAD} was not read")
        self.chosen = chosen_rows(contents, self._selection)
        self._places = Places(contents, members)
        with translated(self._access.settings):
            prepare(self._connection, contents)
        # One after the other: there is one transaction.
        for piece in self._places.data_pieces(rows_of(contents, self._selection)):
            yield (piece,)

    def sink(self, piece: Piece, progress: Progress) -> Sink:
        if piece.member == HEAD:
            return ScriptSink(self._take_head, HEAD_BYTES)
        if self._places is None or self._contents is None:
            raise BadSetting(f"{piece.member} came before {HEAD}")
        entries = {entry.dump_id: entry for entry in self._contents.data_entries}
        loader = Loader(self._connection, tally=self._count)
        return PartSink(piece.member, self._places.of(piece), entries, loader, progress)

    def inventory(self) -> Inventory:
        assert self.chosen is not None
        expected = self.chosen.of(self._expected)
        return Inventory(
            tables=tuple(
                TableFacts(
                    table.schema,
                    table.name,
                    self._loaded.get(table.label),
                    table.label in self._loaded,
                )
                for table in expected.tables
            )
        )

    def commit(self) -> None:
        with translated(self._access.settings):
            # The rows did not wait for the disk; this, the one commit there is, must.
            self._connection.execute("RESET synchronous_commit")
            self._connection.execute("COMMIT")

    def _take_head(self, head: bytes) -> None:
        self._contents = readable_contents(head)

    def _count(self, label: str, rows: int) -> None:
        self._loaded[label] = self._loaded.get(label, 0) + rows
