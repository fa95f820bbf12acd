"""Repositories: open, list and change backups in a storage. Names and order, no streams.

A backup exists if and only if its manifest does: the manifest is written last and removed first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from covetbackup.core.errors import (
    BadSetting,
    Conflict,
    CovetError,
    DeleteRefused,
    ManifestInvalid,
    ObjectNotFound,
)
from covetbackup.core.repository import layout, manifest_json
from covetbackup.core.repository.layout import Label
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.marker import Marker
from covetbackup.core.repository.objects import read_object, write_object
from covetbackup.core.storage.base import MARKER, ObjectInfo, Storage
from covetbackup.core.stream.base import Sink, Source


@dataclass(frozen=True, slots=True)
class ListEntry:
    """One entry of a listing: a readable manifest, or the reason why it is not."""

    label: Label
    manifest: Manifest | None
    problem: CovetError | None


class BackupRepository:
    """A storage that holds backups. `name` is how people refer to it (its URL)."""

    def __init__(self, storage: Storage, *, name: str, marker: Marker) -> None:
        self.storage = storage
        self.name = name
        self.marker = marker

    @classmethod
    def open(cls, storage: Storage, *, name: str) -> BackupRepository:
        """Open the repository in `storage`.

        Raises `BadSetting` if there is no marker, `ManifestInvalid` if it is damaged.
        """
        try:
            data = read_object(storage, MARKER, limit=manifest_json.SIZE_LIMIT)
        except ObjectNotFound as error:
            raise BadSetting(
                f"{name} is not a repository: it has no {MARKER}",
                "is the address right, and the disk mounted? a new repository is made with the "
                "init command",
            ) from error
        return cls(storage, name=name, marker=Marker.from_bytes(data))

    @property
    def id(self) -> str:
        """The id in the marker, which replicas do not share."""
        return self.marker.repository_id

    def labels(self, slug: str = "") -> Iterator[Label]:
        """Yield the labels of all backups, oldest first within a source."""
        prefix = layout.BACKUPS + (f"{slug}/" if slug else "")
        for found in self.storage.list(prefix):
            label = _label_of(found.name)
            if label is not None and found.name == label.manifest:
                yield label

    def find(self, text: str) -> Label:
        """Return the backup that `text` names.

        That is a label, a backup id or its beginning (4 digits or more), or "latest". Raises
        `BadSetting` when none or several match.
        """
        matching = list(_matching(text, self.labels()))
        if text == "latest" and matching:
            return max(matching, key=lambda label: label.started_at)
        if len(matching) == 1:
            return matching[0]
        problem = "several backups match" if matching else "no backup matches"
        raise BadSetting(
            f"{problem} {text[:120]!r} in {self.name}", "labels are shown by the list command"
        )

    def find_leftovers(self, text: str) -> Label:
        """Return the backup that `text` names, as `find` does, or the leftovers of a removed one.

        Those are named by their whole label: what a removal that was cut off left.
        """
        with suppress(BadSetting):
            label = Label.parse(text)
            if any(True for _ in self.objects(label)):
                return label
        return self.find(text)

    def manifest(self, label: Label) -> Manifest:
        """Return the manifest with everything checked that needs no key.

        Raises `ObjectNotFound`, `ManifestInvalid`.
        """
        return manifest_json.decode(self.manifest_bytes(label), label)

    def manifest_bytes(self, label: Label) -> bytes:
        """Return the manifest as it is stored. Raises `ObjectNotFound`, `TooLarge`."""
        return read_object(self.storage, label.manifest, limit=manifest_json.SIZE_LIMIT)

    def backups(self, slug: str = "") -> Iterator[ListEntry]:
        """Yield all backups; a damaged manifest is an entry with its problem, not an error."""
        for label in self.labels(slug):
            try:
                yield ListEntry(label, self.manifest(label), None)
            except (ManifestInvalid, ObjectNotFound) as error:
                yield ListEntry(label, None, error)

    def create(self, label: Label, name: str) -> Sink:
        """Return a sink for the object `name` of the backup `label`."""
        return self.storage.create(label.folder + name)

    def open_object(self, label: Label, name: str) -> Source:
        """Return a source of the object `name` of the backup `label`, as it is stored."""
        return self.storage.open(label.folder + name)

    def objects(self, label: Label) -> Iterator[ObjectInfo]:
        """Yield all objects in the folder of `label`, published or not."""
        return self.storage.list(label.folder)

    def commit(self, label: Label, data: bytes) -> None:
        """Publish: write the manifest `data`. Everything it names must be stored by now."""
        manifest_json.decode(data, label)
        self.refuse_published(label)
        write_object(self.storage, label.manifest, data)

    def refuse_published(self, label: Label) -> None:
        """Raise `Conflict` if the backup `label` is here."""
        if any(found.name == label.manifest for found in self.objects(label)):
            raise Conflict(f"backup {label} is already in {self.name}")

    def remove(self, label: Label) -> None:
        """Remove a backup, published or not; repeated, it finishes a removal that was cut off.

        Manifest first, then volumes, the mirror of the keys and the keys: these last, because a
        cleanup finds what was cut off by its folder only. Raises `DeleteRefused` that says whether
        the backup is still there, and what of it is.
        """
        try:
            self.storage.delete(label.manifest)
        except DeleteRefused as error:
            raise DeleteRefused(
                f"nothing of backup {label} was removed: {error.message}",
                error.hint,
                error.details,
            ) from error
        names = [found.name for found in self.objects(label)]
        keys = [name for name in names if layout.keys_generation(name) is not None]
        mirror = self.storage.list(layout.MIRROR + label.backup_id.hex())
        data = [name for name in names if name not in keys]
        self._delete_all(label, [*data, *[found.name for found in mirror], *keys])

    def _delete_all(self, label: Label, names: Sequence[str]) -> None:
        for number, name in enumerate(names):
            try:
                self.storage.delete(name)
            except DeleteRefused as error:
                raise DeleteRefused(
                    f"backup {label} is no longer listed, but objects of it are left "
                    f"({len(names) - number}): {error.message}",
                    f"{error.hint}; then delete the backup again by its whole label or clean up",
                    error.details,
                ) from error

    def unpublished(self, before: datetime) -> Iterator[Label]:
        """Return folders without a manifest whose objects are all older than `before` (aware)."""
        newest: dict[Label, datetime] = {}
        published = set()
        for found in self.storage.list(layout.BACKUPS):
            label = _label_of(found.name)
            if label is None:
                continue
            newest[label] = max(newest.get(label, found.modified_at), found.modified_at)
            if found.name == label.manifest:
                published.add(label)
        return (x for x, moment in newest.items() if x not in published and moment < before)


def _label_of(name: str) -> Label | None:
    folder = name.removeprefix(layout.BACKUPS).rsplit("/", 1)[0]
    try:
        return Label.parse(folder)
    except BadSetting:
        return None


def _matching(text: str, labels: Iterator[Label]) -> Iterator[Label]:
    for label in labels:
        by_id = len(text) >= 4 and label.backup_id.hex().startswith(text)
        if text in ("latest", str(label)) or by_id:
            yield label
