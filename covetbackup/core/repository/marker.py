"""The marker object: what makes a place a repository, and the guides for recovery by hand."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import resources

from covetbackup.core.crypto import canonical
from covetbackup.core.errors import Conflict, ManifestInvalid, ObjectNotFound, StorageError
from covetbackup.core.repository.json_reader import Fields, format_instant
from covetbackup.core.repository.objects import write_object
from covetbackup.core.storage.base import MARKER, Storage

FORMAT = "covetbackup-repository/1"
GUIDES = ("RECOVERY.md", "covet_open.py")


@dataclass(frozen=True, slots=True)
class Marker:
    """Repository id (32 hex digits) and time of creation."""

    repository_id: str
    created_at: datetime

    def to_bytes(self) -> bytes:
        document = {
            "format": FORMAT,
            "id": self.repository_id,
            "created_at": format_instant(self.created_at),
        }
        return canonical.dump(document)

    @classmethod
    def from_bytes(cls, data: bytes) -> Marker:
        """Read the marker. Raises `ManifestInvalid`."""
        fields = Fields(canonical.parse(data), MARKER)
        if fields.text("format") != FORMAT:
            raise ManifestInvalid(
                f"{MARKER} has format {fields.text('format')[:60]!r}",
                "a newer CovetBackup made this repository? update this one",
            )
        return cls(fields.text("id"), fields.instant("created_at"))


def initialise(storage: Storage, now: datetime) -> Marker:
    """Make an empty storage a repository: marker first, then the recovery guides.

    Raises `Conflict` if anything is in the storage already. Whatever goes wrong, the storage is
    as empty afterwards as it was, or the error says what is left in it.
    """
    with suppress(ObjectNotFound):  # a folder that is not there yet is empty too
        for found in storage.list():
            raise Conflict(
                f"the storage is not empty: it holds {found.name}",
                "choose an empty folder or prefix",
            )
    marker = Marker(os.urandom(16).hex(), now)
    write_object(storage, MARKER, marker.to_bytes())
    guides = resources.files("covetbackup.core")
    try:
        for name in GUIDES:
            write_object(storage, name, (guides / name).read_bytes())
    except StorageError as error:
        if left := undo_initialise(storage):
            raise type(error)(
                error.message,
                f"{error.hint}; {left.message}: delete {MARKER} there before the next try",
                error.details,
            ) from error
        raise
    except BaseException:
        undo_initialise(storage)
        raise
    return marker


def undo_initialise(storage: Storage) -> StorageError | None:
    """Make a repository that holds no backup yet an empty storage again.

    Returns the error that prevented it instead of raising: why it is undone matters more.
    """
    try:
        for name in (*GUIDES, MARKER):
            storage.delete(name)
    except StorageError as error:
        return error
    return None
