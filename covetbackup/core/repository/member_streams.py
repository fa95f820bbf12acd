"""Streams of a backup: a member, or parts of one stream that are members of their own.

Members `NAME.0000`, `NAME.0001` and so on are the parts of the stream NAME, which they give when
joined in the order of their names. Reading many at once is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from covetbackup.core.crypto.dek import Dek
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.repository.volumes import IndexLost, ignore_lost_index, open_member

_PART = re.compile(r"(.+)\.\d{4}")


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream and its members to join, in order: mostly one, of the same name."""

    name: str
    members: tuple[str, ...]


def streams(manifest: Manifest) -> list[Stream]:
    """Return all streams of the backup; every member is in exactly one."""
    names = dict.fromkeys(member.name for member in manifest.members)
    joined: dict[str, list[str]] = {}
    for name in names:
        match = _PART.fullmatch(name)
        is_part = match is not None and f"{match[1]}.0000" in names
        joined.setdefault(match[1] if match and is_part else name, []).append(name)
    return [Stream(name, tuple(sorted(members))) for name, members in joined.items()]


@contextmanager
def open_stream(
    repository: BackupRepository,
    manifest: Manifest,
    name: str,
    *,
    dek: Dek | None,
    workers: int,
    lost: IndexLost = ignore_lost_index,
) -> Iterator[Iterator[bytes]]:
    """Read the plain bytes of the stream or member `name`: a source.

    Guarantees and errors as `volumes.open_member`.
    """
    found = [stream.members for stream in streams(manifest) if stream.name == name]
    chunks = _joined(repository, manifest, found[0] if found else (name,), dek, workers, lost)
    try:
        yield chunks
    finally:
        chunks.close()


def _joined(
    repository: BackupRepository,
    manifest: Manifest,
    members: Sequence[str],
    dek: Dek | None,
    workers: int,
    lost: IndexLost,
) -> Generator[bytes, None, None]:
    for member in members:
        source = open_member(repository, manifest, member, dek=dek, workers=workers, lost=lost)
        with source as chunks:
            yield from chunks
