"""Parallel restore of an archive in parts: structure, data over several connections, then the rest.

Structure, and what can only be created once the rows are loaded, is pg_restore's work. It needs
only the table of contents for that, so the data is never staged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial

from covetbackup.core.databases.base import MemberRange
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.adaptations import adapt_to_server
from covetbackup.core.databases.postgresql.archive.configuration import (
    configuration_rows,
    extensions_with_dependencies,
)
from covetbackup.core.databases.postgresql.archive.contents import Entry, Section, TableOfContents
from covetbackup.core.databases.postgresql.archive.dependencies import resolve_dependencies
from covetbackup.core.databases.postgresql.archive.member_names import DUMP, HEAD
from covetbackup.core.databases.postgresql.archive.offsets import PartBoundary, PartOffsets
from covetbackup.core.databases.postgresql.archive.omitted import expected_without
from covetbackup.core.databases.postgresql.archive.partitioned_indexes import invalid_index_notes
from covetbackup.core.databases.postgresql.archive.reader import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.archive.recorded import with_recorded_dependencies
from covetbackup.core.databases.postgresql.archive.stages import (
    post_data_stages,
    restrict_to,
    split_event_triggers,
)
from covetbackup.core.databases.postgresql.inventory.search_paths import paths_of
from covetbackup.core.databases.postgresql.restore.check_constraints import DroppedCheckConstraints
from covetbackup.core.databases.postgresql.restore.deferred_extensions import (
    DeferredExtensions,
    deferred_contents,
)
from covetbackup.core.databases.postgresql.restore.loaders import (
    CollectingSink,
    PgRestore,
    memory_file,
)
from covetbackup.core.databases.postgresql.restore.part_sink import ConnectionPool, PartSink
from covetbackup.core.databases.postgresql.restore.refused_statements import (
    WAY_OUT,
    RefusedStatements,
)
from covetbackup.core.databases.postgresql.restore.retry_rows import RowRetry
from covetbackup.core.databases.postgresql.restore.single_stream import SingleStreamSink
from covetbackup.core.databases.postgresql.restore.structure import StructureLoad
from covetbackup.core.databases.postgresql.restore.superuser_objects import refuse_forbidden
from covetbackup.core.databases.postgresql.restore.tentative import RefusedRows, TentativeSink
from covetbackup.core.databases.postgresql.server.connection import Connection, major_of
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, Incomplete
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink

HEAD_BYTES = 1 << 30
_ENCODING = b"ENCODING"
_SETTINGS = (b"STDSTRINGS", b"SEARCHPATH")


class ParallelRestore:
    """The load of a dump into the database that `command` and `connect` reach.

    First the member `HEAD` is written into its sink, then `open` reads it. A dump in one stream is
    written into the sink of `DUMP` instead. What the server refuses to create is left out if
    `skips_failing`, but never what rows need.
    """

    def __init__(
        self,
        command: Callable[[], PgRestore],
        connect: Callable[[], Connection],
        *,
        skips_failing: bool,
        jobs: int,
        expected: Inventory,
        selection: Selection | None,
        progress: Progress,
    ) -> None:
        self.resolved: ResolvedSelection | None = None
        self._skips_failing = skips_failing
        self._expected = expected
        self._selection = selection
        paths = paths_of(expected)
        self._refused = RefusedStatements(paths, skips_failing=skips_failing)
        self._structure = StructureLoad(command, connect, self._refused)
        idle = partial(progress.advance, 0)
        self._checks = DroppedCheckConstraints(connect, paths, idle)
        self._retry_rows = RowRetry(self._checks, paths)
        self._connect = connect
        self._pool = ConnectionPool(self._open_connection)
        self._jobs = jobs
        self._progress = progress
        self._contents: TableOfContents | None = None
        self._offsets: PartOffsets | None = None
        self._entries: dict[int, Entry] = {}
        self._failures: list[RefusedRows] = []
        self._adaptations: list[str] = []
        self._deferred = DeferredExtensions(connect, None)
        self._early: set[int] = set()
        self._loaded: set[int] = set()
        self._is_read_twice = False
        self._files = ExitStack()

    def open(self, sizes: Mapping[str, int]) -> None:
        """Resolve what is restored, and where it is in members of these plain `sizes` in bytes."""
        contents = self._read_contents()
        self._offsets = PartOffsets(contents, sizes)
        if self._selection is not None:
            contents = self._filter_toc(contents, self._selection)
        self._split_deferred(contents)

    def groups(self) -> Iterator[Sequence[MemberRange]]:
        """Yield the ranges of parts to load, and create structure before and after them."""
        contents = self._contents = self._adapt(self._read_contents())
        assert self._offsets is not None
        self._progress.phase("making tables")
        # Of the data section only values of sequences are left, and (since archives of
        # PostgreSQL 17) the large objects, which have to be there before their content.
        structure = _structure(contents).within(Section.PRE_DATA, Section.DATA)
        early = self._create_extensions(structure)
        if early:
            yield from self._load_configuration(contents)
        self._structure.run(structure.filter(lambda entry: entry.dump_id not in early))
        pieces = self._offsets.member_ranges(self._entries.keys())
        if pieces:
            yield pieces
        while self._failures:
            yield self._retry()
        self._pool.close()  # pg_restore's jobs may need their places on the server
        self._create_post_data(contents)

    def single_stream_groups(self) -> Iterator[Sequence[MemberRange]]:
        """Yield the dump in one stream, as `groups` does; twice if some rows are loaded first."""
        yield (MemberRange(DUMP),)
        if self._is_read_twice:
            yield (MemberRange(DUMP),)
        if self._contents is not None:
            self._create_post_data(self._contents)

    def single_stream_sink(self, load: Callable[..., Sink], progress: Progress) -> Sink:
        """Return the sink of the stream. `load` starts pg_restore with more arguments as a sink."""

        def begin(contents: TableOfContents | None) -> tuple[Sink, bool]:
            if contents is None:
                return load("--exit-on-error"), True
            if self._contents is None:
                self._split_deferred(contents)
                self._contents = self._adapt(self._read_contents())
                first = {each.dump_id: each for each in configuration_rows(self._read_contents())}
                first |= {each.dump_id: each for each in self._deferred.rows}
                if first and not contents.is_compressed:
                    self._early = self._create_extensions(self._whole_structure())
                    return self._first_rows(first, progress), False
            return self._rest_of_whole(contents, load), True

        return SingleStreamSink(begin)

    def _first_rows(self, entries: Mapping[int, Entry], progress: Progress) -> Sink:
        loader, boundary = self._pool.acquire(), PartBoundary(None, is_continued=False)
        sink = PartSink(DUMP, boundary, entries, loader, progress, skips_others=True)
        self._loaded, self._is_read_twice = set(entries), True

        def failed(failure: RefusedRows) -> None:
            if self._deferred.rows:
                raise failure.error
            self._loaded.clear()

        return TentativeSink(MemberRange(DUMP), sink, failed)

    def _rest_of_whole(self, contents: TableOfContents, load: Callable[..., Sink]) -> Sink:
        self._pool.close()
        self._progress.phase("making tables")
        structure = self._whole_structure()
        self._structure.run(structure.filter(lambda entry: entry.dump_id not in self._early))
        self._checks.drop_doubtful()  # a stream is not loaded again for what it refuses
        remaining = {entry.dump_id for entry in self._read_contents().entries} - self._loaded
        wanted = "".join(
            f"{each.dump_id};\n" for each in contents.entries if each.dump_id in remaining
        )
        file = self._files.enter_context(memory_file("entries", wanted.encode()))
        return load("--exit-on-error", "--section=data", "-L", file)

    def _whole_structure(self) -> TableOfContents:
        return _structure(self._read_contents()).within(Section.PRE_DATA)

    def _split_deferred(self, contents: TableOfContents) -> None:
        """Split off what can only be created after the rename; its rows are held until then."""
        self._deferred = DeferredExtensions(self._connect, deferred_contents(contents))
        waiting = {each.dump_id for each in self._deferred.entries}
        self._contents = contents.filter(lambda entry: entry.dump_id not in waiting)
        entries = (*self._contents.data_entries, *self._deferred.rows)
        self._entries = {entry.dump_id: entry for entry in entries}

    def _create_extensions(self, structure: TableOfContents) -> set[int]:
        """Create the extensions if others may depend on their configuration rows.

        Returns the dump ids of all that was created.
        """
        self._deferred.create_schemas()
        if not configuration_rows(self._read_contents()):
            return set()
        early = extensions_with_dependencies(structure)
        self._structure.run(restrict_to(structure, early))
        return early

    def create_event_triggers(self) -> bool:
        """Create event triggers, after everything else, the comparison included.

        Returns whether there are any.
        """
        if self._contents is None:
            return False
        _, triggers = split_event_triggers(self._contents)
        if all(entry.is_setting for entry in triggers.entries):
            return False
        self._structure.run(triggers)
        return True

    @property
    def deferred(self) -> DeferredExtensions:
        """The extensions that are created after the rename."""
        return self._deferred

    def create_deferred(self) -> None:
        """Create what was deferred to the rename. Raises `CovetError` and `psycopg.Error`."""
        structure = _structure(self._deferred.contents)
        self._structure.run(structure.within(Section.PRE_DATA))
        self._deferred.move_rows()
        self._structure.run(structure.within(Section.DATA, Section.POST_DATA))

    def _load_configuration(self, contents: TableOfContents) -> Iterator[Sequence[MemberRange]]:
        """Yield the configuration rows one after the other, in the order of pg_dump.

        There may be keys between them. Rows that depend on what is created later are refused now,
        and loaded with all others.
        """
        assert self._offsets is not None
        for entry in configuration_rows(contents):
            pieces = self._offsets.member_ranges([entry.dump_id])
            if len(pieces) == 1:
                yield pieces
                if not self._failures:
                    del self._entries[entry.dump_id]
                self._failures.clear()

    def _retry(self) -> Sequence[MemberRange]:
        """Return the ranges whose rows were refused, to be loaded again."""
        failures, self._failures = self._failures, []
        self._retry_rows.prepare(failures)
        self._pool.close()  # what follows may be loaded with another search path
        return [failure.piece for failure in failures]

    def _adapt(self, contents: TableOfContents) -> TableOfContents:
        """Return `contents` adapted to this server. Raises `BadSetting` for what it refuses."""
        with closing(self._connect()) as connection:
            set_dump_encoding(connection, contents)
            refuse_forbidden(
                connection, contents, skips_failing=self._skips_failing, way_out=WAY_OUT
            )
            contents, self._adaptations = adapt_to_server(contents, major_of(connection))
        return contents

    def _filter_toc(self, contents: TableOfContents, selection: Selection) -> TableOfContents:
        resolved_toc = resolve_dependencies(contents, selection)
        self.resolved = resolved_toc.selection
        for line in resolved_toc.selection.notes:
            self._progress.note(line)
        return contents.filter(lambda entry: entry.dump_id in resolved_toc.dump_ids)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        """Return the sink of `piece`: `HEAD`, or a range of a part."""
        if piece.member == HEAD:
            return CollectingSink(self._take_head, HEAD_BYTES)
        if self._offsets is None:
            raise BadSetting(f"{piece.member} came before {HEAD}")
        boundary = self._offsets.boundary_of(piece)
        sink = PartSink(piece.member, boundary, self._entries, self._pool.acquire(), progress)
        return TentativeSink(piece, sink, self._failures.append)

    def required(self, expected: Inventory) -> Inventory:
        """Return what of `expected` must be restored without what was left out or is deferred."""
        left_out = [*self._refused.left_out, *self._deferred.entries]
        return expected_without(expected, left_out, self._read_contents()) if left_out else expected

    @property
    def notes(self) -> Sequence[str]:
        """Notes for the result: adaptations, what was left out, constraints that do not hold."""
        refused = self._refused
        broken = invalid_index_notes(self._contents, refused.left_out) if self._contents else ()
        return [*self._adaptations, *refused.notes, *broken, *self._checks.notes]

    @property
    def loaded(self) -> Mapping[str, int]:
        """The number of rows that were loaded, by the label of their table."""
        return self._pool.rows

    def close(self) -> None:
        """Close all connections to the database."""
        self._pool.close()
        self._files.close()

    def _take_head(self, head: bytes) -> None:
        self._contents = readable_contents(head, self._expected)

    def _read_contents(self) -> TableOfContents:
        if self._contents is None:
            raise Incomplete(f"{HEAD} was not read")
        return self._contents

    def _open_connection(self) -> Connection:
        connection = self._connect()
        try:
            prepare_copy_session(connection, self._read_contents())
            set_dump_encoding(connection, self._read_contents())
            if path := self._retry_rows.path:
                connection.execute("SELECT set_config('search_path', %s, false)", (path,))
        except BaseException:
            connection.close()
            raise
        return connection

    def _create_post_data(self, contents: TableOfContents) -> None:
        self._progress.phase("making indexes and keys")
        contents, _ = split_event_triggers(contents)
        for stage in post_data_stages(contents.within(Section.POST_DATA)):
            self._structure.run(stage.contents, jobs=self._jobs if stage.is_parallel else 1)
        self._checks.recreate()


def readable_contents(head: bytes, expected: Inventory) -> TableOfContents:
    """Return the table of contents in `head`, with the dependencies that `expected` records.

    Raises `Incomplete` for one that cannot be read.
    """
    try:
        return with_recorded_dependencies(read_contents(head), expected.settings or {})
    except (NeedsMore, Unsupported) as error:
        raise Incomplete(f"the contents of the dump cannot be read: {error}") from error


def prepare_copy_session(connection: Connection, contents: TableOfContents) -> None:
    """Make `connection` read values as they were written, whatever the settings of server and role.

    Its encoding is not changed.
    """
    _run_settings(connection, contents, *_SETTINGS)
    for statement in _SESSION:
        connection.execute(statement)


def set_dump_encoding(connection: Connection, contents: TableOfContents) -> None:
    """Set the client encoding to that of the dump."""
    _run_settings(connection, contents, _ENCODING)


def _run_settings(connection: Connection, contents: TableOfContents, *kinds: bytes) -> None:
    for entry in contents.entries:
        if entry.kind in kinds:
            connection.execute(entry.definition)


def _structure(contents: TableOfContents) -> TableOfContents:
    return contents.filter(lambda entry: not entry.has_data)


# A server's own settings must change no value. The commit that matters is the last one, that of the
# rename: it waits for the disk, and for everything before it.
_SESSION = (
    "SET DateStyle = ISO",
    "SET IntervalStyle = postgres",
    "SET xmloption = content",
    "SET row_security = off",
    "SET synchronous_commit = off",
)
