"""Loads an archive from its parts: structure, data over several connections, then the rest.

Structure, and what can only be made when the rows are there, is pg_restore's work. It needs no more
than the table of contents for that, so the data is never staged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial

from covetbackup.core.databases.base import Piece
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.connection import Connection, major_of
from covetbackup.core.databases.postgresql.load import PgRestore, ScriptSink
from covetbackup.core.databases.postgresql.parts.checks import ReleasedChecks
from covetbackup.core.databases.postgresql.parts.loading import Loaders, PartSink
from covetbackup.core.databases.postgresql.parts.names import DUMP, HEAD
from covetbackup.core.databases.postgresql.parts.places import Places
from covetbackup.core.databases.postgresql.parts.stages import (
    only,
    post_data_stages,
    without_event_triggers,
)
from covetbackup.core.databases.postgresql.parts.structure import WAY_OUT, StructureLoad
from covetbackup.core.databases.postgresql.parts.tentative import Failure, TentativeSink
from covetbackup.core.databases.postgresql.parts.whole import WholeSink
from covetbackup.core.databases.postgresql.rights import refuse_forbidden
from covetbackup.core.databases.postgresql.search_paths import paths_of
from covetbackup.core.databases.postgresql.toc.adapted import adapted
from covetbackup.core.databases.postgresql.toc.closure import close
from covetbackup.core.databases.postgresql.toc.configuration import (
    configuration_rows,
    extensions_with_needs,
)
from covetbackup.core.databases.postgresql.toc.reading import (
    NeedsMore,
    Unsupported,
    read_contents,
)
from covetbackup.core.databases.postgresql.toc.recorded import with_recorded_needs
from covetbackup.core.databases.postgresql.toc.values import Contents, Entry, Section
from covetbackup.core.databases.selection import Chosen, Selection
from covetbackup.core.errors import BadSetting, Incomplete
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Sink

HEAD_BYTES = 1 << 30
_ENCODING = b"ENCODING"
_SETTINGS = (b"STDSTRINGS", b"SEARCHPATH")


class PartedLoad:
    """`command` and `connect` reach the database that is filled. First `HEAD` goes into its sink,
    then `open` looks at it. A dump in one stream goes into the sink of `DUMP` instead. What the
    server refuses to create is left out if `skips_failing`, but never what rows need."""

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
        self.chosen: Chosen | None = None
        self._skips_failing = skips_failing
        self._expected = expected
        self._selection = selection
        self._paths = paths_of(expected)
        self._structure = StructureLoad(
            command, connect, paths=self._paths, skips_failing=skips_failing
        )
        idle = partial(progress.advance, 0)
        self._checks = ReleasedChecks(connect, self._paths, idle)
        self._connect = connect
        self._loaders = Loaders(self._opened)
        self._jobs = jobs
        self._progress = progress
        self._contents: Contents | None = None
        self._places: Places | None = None
        self._entries: dict[int, Entry] = {}
        self._failures: list[Failure] = []
        self._adaptations: list[str] = []
        self._path = ""

    def open(self, sizes: Mapping[str, int]) -> None:
        """Find out what comes, and where it lies in members of these `sizes`."""
        contents = self._read_contents()
        self._places = Places(contents, sizes)
        if self._selection is not None:
            self._contents = self._narrowed(contents, self._selection)

    def groups(self) -> Iterator[Sequence[Piece]]:
        contents = self._contents = self._fitted(self._read_contents())
        assert self._places is not None
        self._entries = {entry.dump_id: entry for entry in contents.data_entries}
        self._progress.phase("making tables")
        # Of the data section only values of sequences are left, and (since archives of
        # PostgreSQL 17) the large objects, which have to be there before their content.
        structure = _structure(contents).within(Section.PRE_DATA, Section.DATA)
        early = extensions_with_needs(structure) if configuration_rows(contents) else set()
        if early:
            self._structure.run(only(structure, early))
            yield from self._configured(contents)
        self._structure.run(structure.kept(lambda entry: entry.dump_id not in early))
        pieces = self._places.data_pieces(self._entries.keys())
        if pieces:
            yield pieces
        while self._failures:
            yield self._to_repeat()
        self._loaders.close()  # pg_restore's jobs may need their places on the server
        self._make_post_data(contents)

    def _configured(self, contents: Contents) -> Iterator[Sequence[Piece]]:
        """One after the other, as pg_dump has put them: there may be keys between them. Rows that
        speak of what is made later are refused now, and loaded with all others."""
        assert self._places is not None
        for entry in configuration_rows(contents):
            pieces = self._places.data_pieces([entry.dump_id])
            if len(pieces) == 1:
                yield pieces
                if not self._failures:
                    del self._entries[entry.dump_id]
                self._failures.clear()

    def _to_repeat(self) -> Sequence[Piece]:
        """Pieces whose rows were refused, for another time: without the CHECK constraints of their
        tables, and with the source's search path. Raises what failed if that changes nothing."""
        failures, self._failures = self._failures, []
        if not self._path and self._paths:
            self._path = self._paths[0]
            self._loaders.close()
        for failure in failures:
            entry = failure.entry
            if not self._checks.release(entry.text(entry.schema), entry.text(entry.tag)):
                raise failure.error
        return [failure.piece for failure in failures]

    def whole(self) -> Iterator[Sequence[Piece]]:
        """As `groups`, of a dump in one stream."""
        yield (Piece(DUMP),)
        if self._contents is not None:
            self._make_post_data(self._contents)

    def whole_sink(self, load: Callable[..., Sink]) -> Sink:
        """Where the stream goes. `load` starts pg_restore with more arguments, to be fed."""
        return WholeSink(self._begin_whole, load)

    def make_event_triggers(self) -> bool:
        """Make what acts on whatever is made after it; whether there is any. For after everything
        else, the comparison included."""
        if self._contents is None:
            return False
        _, triggers = without_event_triggers(self._contents)
        if all(entry.is_setting for entry in triggers.entries):
            return False
        self._structure.run(triggers)
        return True

    def _begin_whole(self, contents: Contents) -> None:
        contents = self._contents = self._fitted(contents)
        self._progress.phase("making tables")
        self._structure.run(_structure(contents).within(Section.PRE_DATA))

    def _fitted(self, contents: Contents) -> Contents:
        """Contents that this server takes from this role. Raises `BadSetting`."""
        with closing(self._connect()) as connection:
            speak_as_written(connection, contents)
            refuse_forbidden(
                connection, contents, skips_failing=self._skips_failing, way_out=WAY_OUT
            )
            contents, self._adaptations = adapted(contents, major_of(connection))
        return contents

    def _narrowed(self, contents: Contents, selection: Selection) -> Contents:
        closure = close(contents, selection)
        self.chosen = closure.chosen
        for line in closure.chosen.lines:
            self._progress.note(line)
        return contents.kept(lambda entry: entry.dump_id in closure.dump_ids)

    def sink(self, piece: Piece, progress: Progress) -> Sink:
        if piece.member == HEAD:
            return ScriptSink(self._take_head, HEAD_BYTES)
        if self._places is None:
            raise BadSetting(f"{piece.member} came before {HEAD}")
        place = self._places.of(piece)
        sink = PartSink(piece.member, place, self._entries, self._loaders.lend(), progress)
        return TentativeSink(piece, sink, self._failures.append)

    @property
    def left_out(self) -> Sequence[Entry]:
        """What was refused and left out."""
        return self._structure.left_out

    @property
    def notes(self) -> Sequence[str]:
        """What the result has to say of it, and of constraints that do not hold."""
        return [*self._adaptations, *self._structure.notes, *self._checks.notes]

    @property
    def loaded(self) -> Mapping[str, int]:
        """How many rows each COPY brought, by the label of its table."""
        return self._loaders.rows

    def close(self) -> None:
        """End what is still connected to the database."""
        self._loaders.close()

    def _take_head(self, head: bytes) -> None:
        self._contents = readable_contents(head, self._expected)

    def _read_contents(self) -> Contents:
        if self._contents is None:
            raise Incomplete(f"{HEAD} was not read")
        return self._contents

    def _opened(self) -> Connection:
        connection = self._connect()
        try:
            prepare(connection, self._read_contents())
            speak_as_written(connection, self._read_contents())
            if self._path:
                connection.execute("SELECT set_config('search_path', %s, false)", (self._path,))
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_post_data(self, contents: Contents) -> None:
        self._progress.phase("making indexes and keys")
        contents, _ = without_event_triggers(contents)
        for stage in post_data_stages(contents.within(Section.POST_DATA)):
            self._structure.run(stage.contents, jobs=self._jobs if stage.is_parallel else 1)
        self._checks.put_back()


def readable_contents(head: bytes, expected: Inventory) -> Contents:
    """Return the contents with what `expected` records of them. Raises `Incomplete` for what cannot
    be read here."""
    try:
        return with_recorded_needs(read_contents(head), expected.settings or {})
    except (NeedsMore, Unsupported) as error:
        raise Incomplete(f"the contents of the dump cannot be read: {error}") from error


def prepare(connection: Connection, contents: Contents) -> None:
    """Values are then read as they were written, whatever the settings of server and role; in the
    encoding of the connection."""
    _set(connection, contents, *_SETTINGS)
    for statement in _SESSION:
        connection.execute(statement)


def speak_as_written(connection: Connection, contents: Contents) -> None:
    """From now on in the encoding of the dump."""
    _set(connection, contents, _ENCODING)


def _set(connection: Connection, contents: Contents, *kinds: bytes) -> None:
    for entry in contents.entries:
        if entry.kind in kinds:
            connection.execute(entry.definition)


def _structure(contents: Contents) -> Contents:
    return contents.kept(lambda entry: not entry.has_data)


# A server's own settings must change no value. The commit that matters is the last one, the
# renaming: it waits for the disk, and for everything before it.
_SESSION = (
    "SET DateStyle = ISO",
    "SET IntervalStyle = postgres",
    "SET xmloption = content",
    "SET row_security = off",
    "SET synchronous_commit = off",
)
