"""Members as objects: a long stream is cut into volumes when written and joined when read.

Cutting keeps S3 parts at 8 MiB, memory constant and the number of blocks under one key small,
whatever the size of the database.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager

from covetbackup.core.crypto.chunks import FinalFlag, decrypt
from covetbackup.core.crypto.dek import Dek
from covetbackup.core.crypto.header import StreamId
from covetbackup.core.errors import (
    NOT_ITS_FAULT,
    CovetError,
    IntegrityError,
    KeyUnavailable,
    ObjectNotFound,
    StorageError,
    Tampered,
    WrongKey,
)
from covetbackup.core.repository.manifest import BackupObject, Manifest, StoredMember
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.stream.base import Filter, Source
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.meter import VerifyDigest
from covetbackup.core.stream.pump import filtered

IndexLost = Callable[[str, CovetError], None]
"""Told the name of a frame index that is missing or damaged, and why: its member is read without
it, which is slower. May be called from several threads."""

VOLUME_SIZE = 50 * 1024**3
"""10 000 S3 parts of 8 MiB are 78 GiB: a volume of 50 GiB stays well below."""


class Cutter:
    """A cut of `chunks` into volumes of at most `limit` bytes; at least one, perhaps empty.

    Each volume is a source that must be read to its end before the next is taken; only then does
    `last` know whether it is the last one.
    """

    def __init__(self, chunks: Iterator[bytes], limit: int) -> None:
        self._chunks = chunks
        self._limit = limit
        self._held = b""
        self._ended = False

    def volumes(self) -> Iterator[Source]:
        """Yield the volumes, each a source."""
        while not self._ended:
            yield self._volume()

    def last(self) -> FinalFlag:
        """Return the final flag of the volume that was read to its end."""
        return FinalFlag.END if self._ended else FinalFlag.MORE

    @contextmanager
    def _volume(self) -> Iterator[Iterator[bytes]]:
        yield self._payload()

    def _payload(self) -> Iterator[bytes]:
        room = self._limit
        while self._held or self._fetch():
            if not room:
                return
            piece, self._held = self._held[:room], self._held[room:]
            room -= len(piece)
            yield piece

    def _fetch(self) -> bool:
        for chunk in self._chunks:
            if chunk:
                self._held = chunk
                return True
        self._ended = True
        return False


def ignore_lost_index(name: str, error: CovetError) -> None:
    """Ignore a lost frame index: for callers to whom slower reading makes no difference."""


@contextmanager
def open_member(
    repository: BackupRepository,
    manifest: Manifest,
    name: str,
    *,
    dek: Dek | None,
    workers: int,
    lost: IndexLost = ignore_lost_index,
) -> Iterator[Iterator[bytes]]:
    """Read the plain bytes of the member `name`: a source.

    Nothing unauthenticated is yielded, but only the end of the iterator proves the whole: sizes and
    digests of every volume and of the plain bytes are those of the manifest. Raises
    `IntegrityError`, `KeyUnavailable`, `StorageError`.
    """
    member = manifest.member(name)
    plain = manifest.opened.plain[name]
    frames = load_index(repository, manifest, member, dek=dek, lost=lost)
    filters: list[Filter] = [
        decompress(manifest.codec.codec, frames=frames, workers=workers),
        VerifyDigest(plain.size, plain.sha256, f"{name} of {manifest.label}"),
    ]
    with filtered(open_packed(repository, manifest, member, dek=dek), filters) as chunks:
        yield chunks


@contextmanager
def open_packed(
    repository: BackupRepository, manifest: Manifest, member: StoredMember, *, dek: Dek | None
) -> Iterator[Iterator[bytes]]:
    """Read the member's volumes, decrypted and joined, still compressed: a source."""
    joined = _joined(repository, manifest, member, dek)
    try:
        yield joined
    finally:
        joined.close()


def load_index(
    repository: BackupRepository,
    manifest: Manifest,
    member: StoredMember,
    *,
    dek: Dek | None,
    lost: IndexLost = ignore_lost_index,
) -> FrameIndex | None:
    """Return the member's frame index; None if it has none, or if it is lost.

    `lost` is told of one that is missing or damaged: it only makes reading faster, and the data
    proves itself. Raises `KeyUnavailable`, and what says nothing about the object
    (`NOT_ITS_FAULT`).
    """
    stored = member.frame_index
    if stored is None:
        return None
    try:
        with open_stored(repository, manifest, stored, dek=dek, last=FinalFlag.END) as chunks:
            return FrameIndex.from_bytes(b"".join(chunks))
    except NOT_ITS_FAULT:
        raise
    except (IntegrityError, StorageError) as error:
        lost(stored.name, error)
        return None


@contextmanager
def open_stored(
    repository: BackupRepository,
    manifest: Manifest,
    stored: BackupObject,
    *,
    dek: Dek | None,
    last: FinalFlag,
) -> Iterator[Iterator[bytes]]:
    """Read one object, its digest compared and decrypted, still compressed: a source.

    Its errors name the object.
    """
    filters = object_filters(manifest, stored, dek=dek, last=last)
    try:
        with filtered(repository.open_object(manifest.label, stored.name), filters) as chunks:
            yield chunks
    except WrongKey as error:
        # The manifest opened with this DEK, so it is the object that is not what it was.
        raise Tampered(f"{stored.name}: its header is damaged", error.hint) from error
    except (IntegrityError, ObjectNotFound) as error:
        raise type(error)(f"{stored.name}: {error}", error.hint, error.details) from error


def object_filters(
    manifest: Manifest, stored: BackupObject, *, dek: Dek | None, last: FinalFlag
) -> list[Filter]:
    """Return the filters from the stored bytes of one object to compressed ones.

    They compare the digest, then decrypt.
    """
    filters: list[Filter] = [VerifyDigest(stored.size, stored.sha256, "the stored object")]
    if manifest.suite is None:
        return filters
    if dek is None:
        raise KeyUnavailable(f"backup {manifest.label} is encrypted", "give its key")
    identity = StreamId(manifest.label.backup_id, stored.number)
    return [*filters, decrypt(dek, identity, expect=last)]


def _joined(
    repository: BackupRepository, manifest: Manifest, member: StoredMember, dek: Dek | None
) -> Generator[bytes, None, None]:
    for volume in member.volumes:
        last = FinalFlag.END if volume is member.volumes[-1] else FinalFlag.MORE
        with open_stored(repository, manifest, volume, dek=dek, last=last) as chunks:
            yield from chunks
