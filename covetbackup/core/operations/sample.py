"""Open random pieces of a stored volume: cheap evidence, not proof.

With a damaged share f of a volume, k pieces find it with probability 1 - (1 - f)^k.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from covetbackup.core.crypto.header import StreamId
from covetbackup.core.crypto.secret import Dek
from covetbackup.core.crypto.seek import SeekReader
from covetbackup.core.errors import IntegrityError
from covetbackup.core.repository.manifest import Manifest, StoredMember, StoredObject
from covetbackup.core.repository.opening import OpenedBackup
from covetbackup.core.repository.repository import Repository
from covetbackup.core.repository.volumes import load_index
from covetbackup.core.storage.base import Storage
from covetbackup.core.stream.codec import Codec
from covetbackup.core.stream.decode import decompress
from covetbackup.core.stream.frames import FrameIndex
from covetbackup.core.stream.meter import Expect
from covetbackup.core.stream.pump import drain

PIECES = 16
"""Finds damage of a tenth of a volume with probability 0.81, of a quarter with 0.99."""


def sample_object(
    repository: Repository, opened: OpenedBackup, member: StoredMember, *, volume: StoredObject
) -> None:
    """Open `PIECES` random chunks, or decompress as many random frames, of `volume`.

    What can be checked no other way (neither encrypted nor compressed) is read whole. Raises
    `IntegrityError` naming the place.
    """
    manifest = opened.manifest
    if opened.dek is not None:
        _sample_chunks(repository, manifest, volume, opened.dek)
    elif manifest.codec.codec is Codec.NONE:
        source = repository.open_object(manifest.label, volume.name)
        drain(source, [Expect(volume.size, volume.sha256, volume.name)])
    else:
        _sample_frames(repository, manifest, member, volume)


def _sample_chunks(
    repository: Repository, manifest: Manifest, volume: StoredObject, dek: Dek
) -> None:
    name = manifest.label.folder + volume.name

    def read_range(offset: int, length: int) -> bytes:
        return _read_range(repository.storage, name, offset, length)

    identity = StreamId(manifest.label.backup_id, volume.number)
    reader = SeekReader(read_range, volume.size, dek, identity)
    reader.sample(_chosen(reader.chunk_count))


def _sample_frames(
    repository: Repository, manifest: Manifest, member: StoredMember, volume: StoredObject
) -> None:
    index = load_index(repository, manifest, member, dek=None)
    if index is None:
        return
    begin = sum(other.size for other in member.volumes[: member.volumes.index(volume)])
    inside = [
        (offset - begin, packed, plain)
        for offset, packed, plain in _positions(index)
        if begin <= offset and offset + packed <= begin + volume.size
    ]
    name = manifest.label.folder + volume.name
    for number in _chosen(len(inside)):
        offset, packed, plain = inside[number]
        one = FrameIndex()
        one.append(packed, plain)
        source = repository.storage.open(name, offset, packed)
        try:
            drain(source, [decompress(manifest.codec.codec, frames=one, workers=1)])
        except IntegrityError as error:
            raise type(error)(f"{volume.name}, bytes from {offset}: {error}", error.hint) from error


def _positions(index: FrameIndex) -> Iterator[tuple[int, int, int]]:
    offset = 0
    for packed, plain in index:
        yield offset, packed, plain
        offset += packed


def _chosen(count: int) -> list[int]:
    return sorted(random.sample(range(count), min(PIECES, count)))


def _read_range(storage: Storage, name: str, offset: int, length: int) -> bytes:
    with storage.open(name, offset, length) as chunks:
        return b"".join(chunks)
