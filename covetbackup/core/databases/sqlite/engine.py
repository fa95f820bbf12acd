"""The `Engine` and the `Kind` of SQLite. The work is done in the modules of its rooms."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from covetbackup.core.databases import selection
from covetbackup.core.databases.base import BackupOptions, Probe
from covetbackup.core.databases.checks import Check
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.kind import Address, Capabilities, Kind, no_export, no_listing
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.server import Discovered, ServerLocation, ServerProbe
from covetbackup.core.databases.sqlite.archive.integrity import check_stream
from covetbackup.core.databases.sqlite.backup.pages import HEADER_BYTES
from covetbackup.core.databases.sqlite.backup.session import (
    MEMBER,
    FileSnapshot,
    SnapshotBackup,
    count_in_thread,
)
from covetbackup.core.databases.sqlite.backup.snapshot_methods import (
    Method,
    snapshot_by_copy,
    snapshot_by_online_backup,
    snapshot_by_vacuum,
    snapshot_by_wal,
)
from covetbackup.core.databases.sqlite.inventory.build import COUNT_BUDGET_BYTES
from covetbackup.core.databases.sqlite.replace.replacement import SqliteReplacement
from covetbackup.core.databases.sqlite.restore.checks import check_new_file
from covetbackup.core.databases.sqlite.restore.features import FEATURES
from covetbackup.core.databases.sqlite.restore.session import RestoreToFile, open_restore
from covetbackup.core.databases.sqlite.restore.staging import cleanup_folder, staging_directory
from covetbackup.core.databases.sqlite.restore.target import SqliteTarget
from covetbackup.core.databases.sqlite.server.connection import (
    live_connection,
    pragma,
    require_sqlite,
)
from covetbackup.core.databases.sqlite.server.fd_cache import shared_descriptor
from covetbackup.core.databases.sqlite.server.folder import discover, probe_files
from covetbackup.core.databases.sqlite.server.location import location_of
from covetbackup.core.databases.sqlite.server.source import SourceFile, find_source
from covetbackup.core.databases.sqlite.server.url import (
    checked_path,
    parse_folder,
    parse_url,
    to_url,
)
from covetbackup.core.errors import BadSetting
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.secret import Secret

__all__ = ["MEMBER", "Method", "SqliteEngine"]

_Snapshot = Callable[[SourceFile, Progress, Path | None], AbstractContextManager[FileSnapshot]]
_SNAPSHOTS: dict[Method, _Snapshot] = {
    Method.WAL: snapshot_by_wal,
    Method.BACKUP: snapshot_by_online_backup,
    Method.VACUUM: snapshot_by_vacuum,
    Method.COPY: snapshot_by_copy,
}


class SqliteEngine:
    """One database file on this host.

    `staging` is the directory for the temporary files of methods 'backup' and 'vacuum' and of the
    content check (None: the system's). Row counts are exact up to `count_budget_bytes` of database.
    A new file has mode 0600. `path_of` returns the path of another file of the folder, and may
    raise `BadSetting`.

    A backup proves that it read one committed state of the right length, with every log frame's
    checksum; it does not run `integrity_check`, which would cost the source more than the backup
    itself. `check` and every restore do.
    """

    kind = "sqlite"

    def __init__(
        self,
        path: Path,
        *,
        staging: Path | None = None,
        count_budget_bytes: int = COUNT_BUDGET_BYTES,
        path_of: Callable[[str], Path] | None = None,
    ) -> None:
        self._path = checked_path(path)
        self._staging = staging
        self._count_budget_bytes = count_budget_bytes
        self._path_of = path_of or self._path.with_name

    def probe(self) -> Probe:
        """Open the database and read its size.

        Raises `DatabaseUnavailable`, `ToolTooOld`, `ServerBusy`, `DatabaseError` for damage.
        """
        require_sqlite()
        source = find_source(self._path)
        with live_connection(source.path) as connection:
            size = int(pragma(connection, "page_size")) * int(pragma(connection, "page_count"))
        return self._probe(size)

    def probe_server(self, is_included: Callable[[str], bool], catalog: str) -> ServerProbe:
        """Probe the folder. A catalog in it is a file that `path_of` does not allow."""
        return probe_files(self.discover(), self._probe_file, is_included)

    def discover(self) -> Discovered:
        return discover(self._path.parent, self._path_of)

    @contextmanager
    def backup(self, options: BackupOptions, progress: Progress) -> Iterator[SnapshotBackup]:
        """Take a snapshot; method "" means 'wal' for a database in WAL mode and 'backup' otherwise.

        Raises what `probe` raises, `BadSetting` for a method that does not fit, `StorageFull`
        when the staging directory has no room.
        """
        require_sqlite()
        source = find_source(self._path)
        method = self._method(options.method, source)
        with _SNAPSHOTS[method](source, progress, self._staging) as snapshot:
            probe = self._probe(snapshot.image.size_bytes)
            with count_in_thread(snapshot.connection, self._count_budget_bytes) as inventory:
                yield SnapshotBackup(
                    snapshot, inventory, probe=probe, method=method, progress=progress
                )

    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> AbstractContextManager[RestoreToFile]:
        """Open a restore into a scratch file beside the target.

        Raises `TargetNotEmpty`, `BadSetting`.
        """
        require_sqlite()
        if request.sets_options:
            raise BadSetting("SQLite has no owners, roles and further restore options")
        selection.refuse_selection(request.selection, "SQLite")
        path = self._path_of(request.database) if request.database else self._path
        return open_restore(path, progress, replace=request.replace)

    def check_restore(self, planned: PlannedRestore) -> list[Check]:
        return check_new_file(self._path.parent, self._path_of, planned)

    def target(self) -> SqliteTarget:
        return SqliteTarget(self._path.parent, self._path_of)

    def replacement(self) -> SqliteReplacement:
        return SqliteReplacement(self._path.parent, self._path_of)

    def check(self, member: str) -> Filter | None:
        """Return a filter that spools `main.sqlite` and runs `integrity_check` at its end."""
        return partial(check_stream, staging=self._staging) if member == MEMBER else None

    def _method(self, method: str, source: SourceFile) -> Method:
        if not method:
            return Method.WAL if _is_in_wal_mode(source.path) else Method.BACKUP
        try:
            return Method(method)
        except ValueError as error:
            known = ", ".join(Method)
            raise BadSetting(
                f"SQLite has no method {method!r}", f"choose one of {known}"
            ) from error

    def _probe_file(self, name: str) -> Probe:
        return SqliteEngine(self._path_of(name)).probe()

    def _probe(self, size_bytes: int) -> Probe:
        version = sqlite3.sqlite_version
        return Probe(self.kind, version, version, str(self._path), size_bytes)


def _is_in_wal_mode(path: Path) -> bool:
    # Byte 19 of the file itself, never only in the log: a change of mode empties the log.
    with shared_descriptor(path) as descriptor:
        return os.pread(descriptor, HEADER_BYTES, 0)[19:20] == b"\2"


class SqliteKind:
    """The `Kind` of SQLite. No file needs a password."""

    capabilities = Capabilities(FEATURES)

    def open_url(self, url: str, password: Secret | None) -> Address:
        path = parse_url(url)
        return Address(SqliteEngine(path), str(path.parent), path.name)

    def open(
        self,
        location: ServerLocation,
        name: str | None,
        password: Secret | None,
        path_of: Callable[[str], Path] | None = None,
    ) -> Address:
        folder = Path(location.folder)
        if name is None:
            return Address(SqliteEngine(folder / "any", path_of=path_of), str(folder), "")
        path = path_of(name) if path_of else folder / name
        return Address(SqliteEngine(path, path_of=path_of), str(path.parent), path.name)

    def url_of(self, location: ServerLocation, name: str) -> str:
        return to_url(Path(location.folder) / name)

    def server_at(self, url: str) -> ServerLocation:
        return ServerLocation(folder=parse_folder(url))

    def own_location(self, name: str, ask: Callable[[str], object]) -> str:
        return location_of(Path(name))

    def cleanup(self, url: str, before: datetime, password: Secret | None) -> list[str]:
        return cleanup_folder(parse_url(url.rstrip("/")), before)

    @contextmanager
    def scratch_target(self, server: str) -> Iterator[str]:
        """Provide the address of a file in a new folder, which is removed afterwards."""
        with staging_directory(None, 0) as folder:  # a cleanup removes it if this is killed
            yield to_url(folder / "drill.sqlite")

    def programs(self, server_versions: Iterable[str]) -> tuple[list[Program], list[Check]]:
        version = sqlite3.sqlite_version
        return [Program("SQLite", version, "library of Python", is_library=True)], []

    def check_member(self, member: str) -> Filter | None:
        return partial(check_stream, staging=None) if member == MEMBER else None

    def listing(
        self, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
    ) -> selection.Listing:
        raise no_listing(SqliteEngine.kind)

    def export(self, open_stream: Callable[[str], Source], folder: Path) -> None:
        raise no_export(SqliteEngine.kind)


KIND: Kind = SqliteKind()
