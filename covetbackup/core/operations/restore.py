"""Restores: into a scratch target, compared with the manifest, made real last."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.base import (
    Engine,
    MemberRange,
    RestoreSession,
    VerifiableCommit,
    required_inventory,
    restore_notes,
    unremoved,
)
from covetbackup.core.databases.inventory import Inventory, differences
from covetbackup.core.databases.registry import default_jobs
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, ResultDiffers
from covetbackup.core.operations.lost_index import LostIndexes
from covetbackup.core.operations.parallel import run_parallel
from covetbackup.core.progress import Progress
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Details, Manifest
from covetbackup.core.repository.open_backup import OpenedBackup, open_backup
from covetbackup.core.repository.ranges import open_range
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.repository.volumes import open_member
from covetbackup.core.stream.base import Source
from covetbackup.core.stream.meter import count_progress
from covetbackup.core.stream.pump import pump

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class RestoreResult:
    """The result of a restore: the backup's manifest and what the target holds (`inventory`).

    `retained_as` is the name of the retained database. `problems` are damaged copies of keys that
    were not needed, and what the engine has to say about the restored database; `left` is what a
    drill could not remove, and why.
    """

    manifest: Manifest
    inventory: Inventory
    problems: tuple[str, ...]
    retained_as: str = ""
    plain_bytes: int = 0
    left: str = ""


@dataclass(frozen=True, slots=True)
class PendingCommit:
    """A restore right before its commit: the last moment at which it can be stopped.

    `expected` is the backup's inventory and `actual` that of the target, which agree. A replaced
    database will be called `retained_as`. `commit_id` is what the engine can be asked with later,
    whether the commit happened (`VerifiableCommit`); "" where it cannot tell.
    """

    expected: Inventory
    actual: Inventory
    retained_as: str
    commit_id: str


def restore_backup(
    repository: BackupRepository,
    label: Label,
    engine: Engine,
    request: RestoreRequest,
    *,
    keyring: Keyring,
    progress: Progress,
    workers: int = 2,
    accept_untrusted: bool = False,
    before_commit: Callable[[PendingCommit], None] = lambda pending: None,
) -> RestoreResult:
    """Restore `label` as `request` says, through the engine of the target's server.

    Until the last step the target does not exist, or is as it was. `workers` threads decompress;
    `accept_untrusted` allows a backup that no trusted signer or own secret key proves. The
    stream is verified to its end and the result is compared with the manifest before the
    target becomes real. `before_commit` is called right before that step and may raise to prevent
    it. Raises `TargetNotEmpty`, `ResultDiffers`, `IntegrityError`, `Untrusted`,
    `KeyUnavailable`, `DatabaseError`, `StreamError`; then nothing is left of it.
    """
    opened = _open(repository, label, engine, keyring, accept_untrusted)
    reading = _Reading(repository, opened, workers)
    with _restored(reading, engine, request, progress) as (session, result):
        progress.phase("making the target real")
        before_commit(_pending(result, session))
        session.commit()
        return _with_notes(result, session)


def _pending(result: RestoreResult, session: RestoreSession) -> PendingCommit:
    commit_id = session.commit_id() if isinstance(session, VerifiableCommit) else ""
    expected = result.manifest.opened.inventory
    return PendingCommit(expected, result.inventory, result.retained_as, commit_id)


def drill_backup(
    repository: BackupRepository,
    label: Label,
    engine: Engine,
    request: RestoreRequest,
    *,
    keyring: Keyring,
    progress: Progress,
    workers: int = 2,
    accept_untrusted: bool = False,
) -> RestoreResult:
    """Restore `label` into a scratch target that is removed afterwards: a drill.

    Arguments and errors as for `restore_backup`. What could not be removed is named in the result.
    """
    opened = _open(repository, label, engine, keyring, accept_untrusted)
    reading = _Reading(repository, opened, workers)
    with _restored(reading, engine, request, progress) as (session, result):
        progress.phase("removing the scratch target")
    return replace(_with_notes(result, session), left=unremoved(session))


def _with_notes(result: RestoreResult, session: RestoreSession) -> RestoreResult:
    left_out = session.resolved.left_out if session.resolved else ()
    return replace(result, problems=(*result.problems, *left_out, *restore_notes(session)))


@contextmanager
def _restored(
    reading: _Reading, engine: Engine, request: RestoreRequest, progress: Progress
) -> Iterator[tuple[RestoreSession, RestoreResult]]:
    """Restore into a scratch target and compare it with the manifest; give its session."""
    opened, manifest = reading.opened, reading.opened.manifest
    if request.jobs is None:
        request = replace(request, jobs=default_jobs(manifest.kind, manifest.method))
    with engine.restore(request, manifest.opened.inventory, progress) as session:
        size = _fill(reading, session, request, progress=progress)
        inventory = _compare(opened, session, progress=progress)
        problems = opened.problems + reading.lost.sentences
        yield session, RestoreResult(manifest, inventory, problems, session.retained_as, size)


def _open(
    repository: BackupRepository,
    label: Label,
    engine: Engine,
    keyring: Keyring,
    accept_untrusted: bool,
) -> OpenedBackup:
    opened = open_backup(repository, label, keyring)
    if not accept_untrusted:
        opened.require_trust()
    refuse_other_kind(opened.manifest, engine)
    return opened


def refuse_other_kind(manifest: Manifest, engine: Engine) -> None:
    """Raise `BadSetting` unless the backup of `manifest` is of the kind of `engine`."""
    if manifest.kind != engine.kind:
        raise BadSetting(
            f"backup {manifest.label} is of kind {manifest.kind}, the target is {engine.kind}"
        )


def _fill(
    reading: _Reading, session: RestoreSession, request: RestoreRequest, *, progress: Progress
) -> int:
    """Load the target; return the number of plain bytes, each range counted once."""
    manifest, details = reading.opened.manifest, reading.opened.manifest.opened
    written: set[MemberRange] = set()

    def write(piece: MemberRange, progress: Progress) -> None:
        source = reading.source(piece, progress)
        pump(source, [count_progress(progress)], session.sink(piece, progress))

    sizes = {member.name: details.plain[member.name].size for member in manifest.members}
    for group in session.groups(sizes):
        _refuse_ignored(session.resolved, request.selection)
        progress.phase(f"restoring {_name(group)}", _size(group, details))
        tasks = [partial(write, piece) for piece in group]
        run_parallel(tasks, limit=request.jobs or 1, progress=progress)
        written.update(group)
    return _size(written, details)


def _refuse_ignored(resolved: ResolvedSelection | None, selection: Selection | None) -> None:
    """Raise `BadSetting` for new names of schemas with an engine that knows none."""
    if resolved and selection and resolved.schemas_as != selection.schemas_as:
        raise BadSetting("this kind of database has no schemas to rename")


def _compare(opened: OpenedBackup, session: RestoreSession, *, progress: Progress) -> Inventory:
    progress.phase("comparing with the manifest")
    inventory, expected = session.inventory(), opened.manifest.opened.inventory
    found = differences(required_inventory(session, expected), inventory)
    if found:
        raise ResultDiffers(
            f"the restored database differs from backup {opened.manifest.label}: "
            + "; ".join(islice(found, _SHOWN))
            + (f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""),
            "the target is as it was before; verify the backup at content level",
        )
    return inventory


class _Reading:
    """Reads ranges of a backup; `lost` are the frame indexes that it had to do without."""

    def __init__(self, repository: BackupRepository, opened: OpenedBackup, workers: int) -> None:
        self._repository = repository
        self._workers = workers
        self.opened = opened
        self.lost = LostIndexes()

    def source(self, piece: MemberRange, progress: Progress) -> Source:
        manifest, dek = self.opened.manifest, self.opened.dek
        if piece.length is None:
            return open_member(
                self._repository,
                manifest,
                piece.member,
                dek=dek,
                workers=self._workers,
                lost=self.lost.reporter(progress),
            )
        return open_range(
            self._repository,
            manifest,
            piece.member,
            offset=piece.offset,
            length=piece.length,
            dek=dek,
            workers=self._workers,
            lost=self.lost.reporter(progress),
        )


def _name(group: Sequence[MemberRange]) -> str:
    return group[0].member if len(group) == 1 else f"{len(group)} streams"


def _size(pieces: Iterable[MemberRange], details: Details) -> int:
    return sum(
        details.plain[piece.member].size if piece.length is None else piece.length
        for piece in pieces
    )
