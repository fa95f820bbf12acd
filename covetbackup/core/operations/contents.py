"""Contents of an opened backup: its tables with their sizes, and a member's plain bytes."""

from __future__ import annotations

import os

from covetbackup.core.databases.registry import listing
from covetbackup.core.databases.selection import Listing
from covetbackup.core.operations.lost_index import LostIndexes
from covetbackup.core.progress import Progress
from covetbackup.core.repository.member_streams import open_stream
from covetbackup.core.repository.open_backup import OpenedBackup
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.base import Source


def default_workers() -> int:
    """Return the number of threads that compress or decompress: one for each usable core."""
    return len(os.sched_getaffinity(0))


def contents_of(repository: BackupRepository, opened: OpenedBackup, progress: Progress) -> Listing:
    """Return the tables of a backup, from which a selection of them is resolved.

    Reads no more than the backup's own table of contents. Raises `BadSetting` for kinds of which
    only all can be restored, `IntegrityError`, `StorageError`.
    """
    manifest = opened.manifest
    sizes = {name: facts.size for name, facts in manifest.opened.plain.items()}

    def read(member: str) -> bytes:
        with open_plain(repository, opened, member, progress) as chunks:
            return b"".join(chunks)

    return listing(manifest.kind, sizes, read, manifest.opened.inventory)


def open_plain(
    repository: BackupRepository, opened: OpenedBackup, member: str, progress: Progress
) -> Source:
    """Return the plain bytes of a member, or of all parts of a stream, as a source.

    Such a stream is `dump.pgc`. The end of the source proves that it was all of it.
    """
    return open_stream(
        repository,
        opened.manifest,
        member,
        dek=opened.dek,
        workers=default_workers(),
        lost=LostIndexes().reporter(progress),
    )
