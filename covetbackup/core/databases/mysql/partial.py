"""Loads the chosen tables of a backup into a scratch database, reading no more than it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from covetbackup.core.databases.base import Piece
from covetbackup.core.databases.mysql import parts
from covetbackup.core.databases.mysql.choosing import Listing
from covetbackup.core.databases.mysql.load import BytesSink, ScriptSink, range_sink
from covetbackup.core.databases.mysql.scripts import Script
from covetbackup.core.databases.mysql.structure import ForeignKey
from covetbackup.core.databases.selection import Chosen, Selection
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink
from covetbackup.core.stream.process import CommandSink


class PartialLoad:
    """`create` runs the structure of the chosen tables, `drop` removes a foreign key that leads
    out of them, `start` gives a client that rows are fed to. `chosen` is None until all that it
    depends on has been read."""

    def __init__(
        self,
        selection: Selection,
        *,
        create: Callable[[Script], None],
        drop: Callable[[ForeignKey], None],
        start: Callable[[Progress], CommandSink],
    ) -> None:
        self._selection = selection
        self._create = create
        self._drop = drop
        self._start = start
        self._map = b""
        self._beginnings: dict[str, bytes] = {}
        self._reads_beginnings = False
        self._listing: Listing | None = None
        self.chosen: Chosen | None = None

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[Piece]]:
        for needed in (parts.MAP, parts.SCHEMA):
            if needed not in members:
                raise BadSetting(f"this backup has no {needed}", "restore all of it")
            yield (Piece(needed),)
        assert self._listing is not None
        assert self.chosen is not None
        if not self.chosen.with_data:
            return
        self._reads_beginnings = True
        yield tuple(self._listing.beginnings(self.chosen.tables))
        self._reads_beginnings = False
        yield tuple(self._listing.rows(self.chosen.tables))

    def sink(self, piece: Piece, progress: Progress) -> Sink:
        if piece.member == parts.MAP:
            return BytesSink(self._keep_map)
        if piece.member == parts.SCHEMA:
            return ScriptSink(self._load_structure)
        if self._reads_beginnings:
            return BytesSink(lambda content: self._keep_beginning(piece.member, content))
        return range_sink(self._start(progress), self._beginnings[piece.member])

    def _keep_map(self, content: bytes) -> None:
        self._map = content

    def _keep_beginning(self, member: str, content: bytes) -> None:
        self._beginnings[member] = content

    def _load_structure(self, script: Script) -> None:
        listing = Listing(self._map, script)
        chosen = listing.chosen(self._selection)
        self._create(listing.structure.script(set(chosen.tables), set(chosen.sequences)))
        for key in listing.skipped(chosen.tables):
            self._drop(key)
        self._listing, self.chosen = listing, chosen
