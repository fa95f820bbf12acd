"""A fourth kind of database for tests: a folder of files with one "key=value" a line.

It shows what a new kind needs: an `Engine`, a `Kind` under the name `KIND`, and one line in the
registry (`REGISTERED`). For the pages it also needs one form of its servers.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from covetbackup.core.databases.base import (
    BackupOptions,
    BackupSummary,
    Member,
    MemberRange,
    Probe,
    Span,
    one_by_one,
)
from covetbackup.core.databases.checks import Check, Level, failed
from covetbackup.core.databases.inventory import Inventory, TableFacts
from covetbackup.core.databases.kind import Address, Capabilities, Kind, no_export
from covetbackup.core.databases.programs import Program
from covetbackup.core.databases.registry import RegisteredKind
from covetbackup.core.databases.restore import PlannedRestore, RestoreRequest
from covetbackup.core.databases.restore_target import RestoreFeatures
from covetbackup.core.databases.retained import Session
from covetbackup.core.databases.selection import Listing, ResolvedSelection, Selection
from covetbackup.core.databases.server import (
    Discovered,
    FoundDatabase,
    ServerLocation,
    ServerProbe,
)
from covetbackup.core.errors import BadSetting, DatabaseUnavailable, Incomplete, TargetNotEmpty
from covetbackup.core.progress import Progress
from covetbackup.core.stream.base import Filter, Sink, Source
from covetbackup.core.stream.secret import Secret

NAME = "toy"
MEMBER = "data.kv"
ENDING = ".kv"
VERSION = "1.0"
_END = b"# end\n"
_SCRATCH = ".restoring"


class ToyEngine:
    """One file; `path_of` returns the path of another file of its folder."""

    kind = NAME

    def __init__(self, path: Path, path_of: Callable[[str], Path] | None = None) -> None:
        self._path = path
        self._path_of = path_of or path.with_name

    def probe(self) -> Probe:
        if not self._path.is_file():
            raise DatabaseUnavailable(f"{self._path} does not exist")
        return Probe(NAME, VERSION, VERSION, str(self._path), self._path.stat().st_size)

    def probe_server(self, is_included: Callable[[str], bool], catalog: str) -> ServerProbe:
        found = self.discover().databases
        inspected = sum(is_included(database.name) for database in found)
        check = Check(Level.PASS, "Folder", f"{len(found)} databases.")
        return ServerProbe(VERSION, VERSION, len(found), inspected, (check,))

    def discover(self) -> Discovered:
        paths = sorted(self._path.parent.glob(f"*{ENDING}"))
        return Discovered(tuple(FoundDatabase(path.name, path.stat().st_size) for path in paths))

    @contextmanager
    def backup(self, options: BackupOptions, progress: Progress) -> Iterator[ToyBackup]:
        yield ToyBackup(self.probe(), self._path.read_bytes())

    @contextmanager
    def restore(
        self, request: RestoreRequest, expected: Inventory, progress: Progress
    ) -> Iterator[ToyRestore]:
        FEATURES.refuse(request)
        target = self._path_of(request.database) if request.database else self._path
        if target.exists():
            raise TargetNotEmpty(f"{target} exists already", "enter another name")
        session = ToyRestore(target)
        try:
            yield session
        finally:
            session.scratch.unlink(missing_ok=True)

    def check_restore(self, planned: PlannedRestore) -> list[Check]:
        try:
            if planned.request.replace:
                self.replacement().refuse_irreplaceable(planned.request.database)
            if self._path_of(planned.request.database).exists():
                raise TargetNotEmpty(f"{planned.request.database} exists already")
        except (BadSetting, TargetNotEmpty) as error:
            return [failed("Name", error)]
        return [Check(Level.PASS, "Name", f"{planned.request.database} does not exist yet.")]

    def target(self) -> ToyTarget:
        return ToyTarget(self._path_of)

    def replacement(self) -> ToyReplacement:
        return ToyReplacement()

    def check(self, member: str) -> Filter | None:
        return _check_end if member == MEMBER else None


@dataclass
class ToyBackup:
    """The backup session: the content as it was when it began."""

    probe: Probe
    content: bytes
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def groups(self) -> Iterator[Sequence[Member]]:
        yield (Member(MEMBER, _source(self.content), len(self.content)),)

    def finish(self) -> BackupSummary:
        span = Span("", "", "", self.started_at, datetime.now(UTC))
        return BackupSummary(span, inventory_of(self.content), self.probe, "whole")


class ToyRestore:
    """The restore session: a scratch file that is renamed at the commit."""

    retained_as = ""

    def __init__(self, target: Path) -> None:
        self._target = target
        self.scratch = target.with_name(target.name + _SCRATCH)

    @property
    def resolved(self) -> ResolvedSelection | None:
        return None

    def groups(self, members: Mapping[str, int]) -> Iterator[Sequence[MemberRange]]:
        return one_by_one(members)

    def sink(self, piece: MemberRange, progress: Progress) -> Sink:
        return _FileSink(self.scratch)

    def inventory(self) -> Inventory:
        return inventory_of(self.scratch.read_bytes())

    def commit(self) -> None:
        os.link(self.scratch, self._target)


class ToyTarget:
    """The folder as a restore's target."""

    def __init__(self, path_of: Callable[[str], Path]) -> None:
        self._path_of = path_of

    def is_free(self, name: str) -> bool:
        return not self._path_of(name).exists()

    def cleanup(self, before: datetime, say: Callable[[str], None]) -> list[str]:
        return []

    def was_committed(self, commit_id: str) -> bool | None:
        return None

    def location_of(self, name: str) -> str:
        return ""


class ToyReplacement:
    """The refusal to replace files of this kind."""

    def refuse_irreplaceable(self, name: str) -> None:
        raise BadSetting("files of this kind are not replaced", "restore under a new name")

    def sessions(self, name: str) -> list[Session]:
        return []

    def identity(self, name: str) -> str | None:
        return ""

    def find_by_identity(self, identity: str) -> str | None:
        return None

    def free_name(self, name: str, now: datetime) -> str:
        return f"{name}_replaced"

    def swap(self, target: str, incoming: str, retained_as: str) -> list[str]:
        raise AssertionError("refused before")

    def was_swapped(self, target: str, retained_as: str) -> bool:
        return False

    def drop(self, name: str) -> None:
        raise AssertionError("there is none")


class ToyListing:
    """The contents of a backup: one table, which is restored with the rest or not at all."""

    def __init__(self, size: int) -> None:
        self._size = size

    def table_bytes(self) -> dict[str, int]:
        return {"pairs": self._size}

    def resolve(self, selection: Selection) -> ResolvedSelection:
        raise BadSetting("backups of this kind are restored whole", "restore everything")


class ToyKind:
    """The `Kind` of these files."""

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(FEATURES)

    def open_url(self, url: str, password: Secret | None) -> Address:
        path = Path(url.removeprefix(f"{NAME}://"))
        return Address(ToyEngine(path), str(path.parent), path.name)

    def open(
        self,
        location: ServerLocation,
        name: str | None,
        password: Secret | None,
        path_of: Callable[[str], Path] | None = None,
    ) -> Address:
        folder = Path(location.folder)
        path = folder / "any" if name is None else (path_of or folder.joinpath)(name)
        return Address(ToyEngine(path, path_of), str(folder), name or "")

    def url_of(self, location: ServerLocation, name: str) -> str:
        return f"{NAME}://{location.folder}/{name}"

    def server_at(self, url: str) -> ServerLocation:
        return ServerLocation(folder=url.removeprefix(f"{NAME}://"))

    def own_location(self, name: str, ask: Callable[[str], object]) -> str:
        return ""

    def cleanup(self, url: str, before: datetime, password: Secret | None) -> list[str]:
        return []

    @contextmanager
    def scratch_target(self, server: str) -> Iterator[str]:
        with TemporaryDirectory() as folder:
            yield f"{NAME}://{folder}/scratch{ENDING}"

    def programs(self, server_versions: Iterable[str]) -> tuple[list[Program], list[Check]]:
        return [Program("Toy", VERSION, "library of the tests", is_library=True)], []

    def check_member(self, member: str) -> Filter | None:
        return _check_end if member == MEMBER else None

    def listing(
        self, members: Mapping[str, int], read: Callable[[str], bytes], expected: Inventory
    ) -> Listing:
        return ToyListing(members[MEMBER])

    def export(self, open_stream: Callable[[str], Source], folder: Path) -> None:
        raise no_export(NAME)


def inventory_of(content: bytes) -> Inventory:
    """Return the inventory: one table with a row for each line."""
    rows = sum(b"=" in line for line in content.splitlines())
    return Inventory(tables=(TableFacts("", "pairs", rows, exact=True),))


def write_toy(path: Path, rows: int) -> Path:
    """Create a database of this kind."""
    path.write_bytes(b"".join(b"key%d=value%d\n" % (n, n) for n in range(rows)) + _END)
    return path


class _FileSink:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("xb")

    def write(self, chunk: bytes) -> None:
        self._file.write(chunk)

    def commit(self) -> None:
        self._file.close()

    def abort(self) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def _source(content: bytes) -> Iterator[Iterator[bytes]]:
    yield iter([content])


def _check_end(chunks: Iterator[bytes]) -> Iterator[bytes]:
    last = b""
    for chunk in chunks:
        last = (last + chunk)[-len(_END) :]
        yield chunk
    if last != _END:
        raise Incomplete(f"{MEMBER} has no end mark")


def _refuse_name(name: str) -> None:
    if not name.endswith(ENDING):
        raise BadSetting(f"{name!r} does not end with {ENDING}")


FEATURES = RestoreFeatures(
    refuse_name=_refuse_name,
    name_with_suffix=lambda name, addition: name.removesuffix(ENDING) + addition + ENDING,
    connect_command=lambda url, version: shlex.join(["cat", url.removeprefix(f"{NAME}://")]),
    has_owners=False,
    selects=False,
    into_existing=False,
)

KIND: Kind = ToyKind()

REGISTERED = RegisteredKind("Toy files", (NAME,), __name__)
