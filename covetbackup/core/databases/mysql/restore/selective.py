"""Loads the selected tables of a backup into a scratch database, reading no more than it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.mysql.archive import members as parts
from covetbackup.core.databases.mysql.archive.selection import BackupListing, ResolvedTables
from covetbackup.core.databases.mysql.archive.spool import Script, close
from covetbackup.core.databases.mysql.archive.tables import ForeignKey
from covetbackup.core.databases.mysql.restore.loaders import BytesSink, ScriptSink, range_sink
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.process import CommandSink


class SelectiveLoad:
    """The load of selected tables of a backup.

    `create` runs the structure of the tables, `finish` their triggers and the views, `drop` removes
    a foreign key that leads out of them, `start` gives a client that rows are fed to. `resolved` is
    None until all that it depends on has been read.
    """

    def __init__(
        self,
        selection: Selection,
        *,
        create: Callable[[Script], None],
        finish: Callable[[Script], None],
        drop: Callable[[ForeignKey], None],
        start: Callable[[Progress], CommandSink],
        tell: Callable[[str], None],
    ) -> None:
        self._selection = selection
        self._create = create
        self._finish = finish
        self._drop = drop
        self._start = start
        self._tell = tell
        self._contents = Contents()
        self._choice: ResolvedTables | None = None

    @property
    def resolved(self) -> ResolvedSelection | None:
        return None if self._choice is None else self._choice.selection

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        yield from self._contents.groups(members)
        listing = self._contents.listing
        choice = self._choice = listing.resolve_tables(self._selection)
        for line in choice.selection.notes:
            self._tell(line)
        self._create(listing.structure.script(set(choice.tables), set(choice.sequences)))
        for key in listing.omitted_foreign_keys(choice.tables):
            self._drop(key)
        if choice.selection.with_data:
            yield from self._contents.rows(choice.tables)
        self._finish(listing.statements.script(tables=choice.tables, views=choice.views))
        self._contents.close()

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        kept = self._contents.sink(piece)
        if kept is not None:
            return kept
        return range_sink(self._start(progress), self._contents.header(piece))


class Contents:
    """The members of a backup that list its contents, and its rows by table."""

    def __init__(self) -> None:
        self._map = b""
        self._scripts: dict[str, Script] = {}
        self._headers: dict[str, bytes] = {}
        self._reads_headers = False
        self._listing: BackupListing | None = None

    @property
    def listing(self) -> BackupListing:
        if self._listing is None:
            self._listing = BackupListing(
                self._map, self._scripts[parts.SCHEMA], self._scripts[parts.PROGRAMS]
            )
        return self._listing

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        for needed in (parts.MAP, parts.SCHEMA, parts.PROGRAMS):
            if needed not in members:
                raise BadSetting(f"this backup has no {needed}", "restore all of it")
            yield (MemberRange(needed),)

    def rows(self, tables: frozenset[str]) -> Iterator[Sequence[MemberRange]]:
        self._reads_headers = True
        headers = tuple(self.listing.headers(tables))
        if headers:
            yield headers
        self._reads_headers = False
        found = tuple(self.listing.rows(tables))
        if found:
            yield found

    def sink(self, piece: MemberRange) -> Sink | None:
        """Return the sink for a range of a member, None for rows."""
        if piece.member == parts.MAP:
            return BytesSink(self._keep_map)
        if piece.member in (parts.SCHEMA, parts.PROGRAMS):
            return ScriptSink(lambda script: self._keep_script(piece.member, script))
        if self._reads_headers:
            return BytesSink(lambda content: self._keep_header(piece.member, content))
        return None

    def header(self, piece: MemberRange) -> bytes:
        """Return what belongs before any rows of the member of a range."""
        return self._headers[piece.member]

    def close(self) -> None:
        for script in self._scripts.values():
            close(script)

    def _keep_map(self, content: bytes) -> None:
        self._map = content

    def _keep_script(self, member: str, script: Script) -> None:
        self._scripts[member] = script

    def _keep_header(self, member: str, content: bytes) -> None:
        self._headers[member] = content
