"""The contents of a manifest, as values. As bytes, encrypted and signed: `manifest_json`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from covetbackup.core.crypto.suites import Suite
from covetbackup.core.databases.base import Span
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.errors import ManifestInvalid
from covetbackup.core.repository.layout import Label
from covetbackup.core.stream.codec import CodecSpec


class Trust(StrEnum):
    """The reason to believe that a backup is ours."""

    SIGNED = "signed"
    """A signer that the keyring trusts signed the manifest."""
    AUTHENTICATED = "authenticated"
    """It opened with a secret key of the keyring, so its writer held that key too."""
    UNTRUSTED = "untrusted"
    """Intact, but any program that can write to the storage could have made it."""


@dataclass(frozen=True, slots=True)
class BackupObject:
    """One object of a backup: name inside its folder, size in bytes, SHA-256 in hex."""

    name: str
    number: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class StoredMember:
    """One member as stored. Volumes are in order; the frame index only makes reading faster."""

    name: str
    volumes: tuple[BackupObject, ...]
    frame_index: BackupObject | None

    @property
    def objects(self) -> tuple[BackupObject, ...]:
        """All objects of the member, volumes first."""
        return self.volumes + ((self.frame_index,) if self.frame_index else ())

    @property
    def stored_size(self) -> int:
        """The size of the volumes in bytes."""
        return sum(volume.size for volume in self.volumes)


@dataclass(frozen=True, slots=True)
class PlainFacts:
    """A member before compression and encryption: size in bytes, SHA-256 in hex."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Details:
    """The part of a manifest that is encrypted when the backup is."""

    database: str
    where: str
    inventory: Inventory
    plain: dict[str, PlainFacts]
    warnings: tuple[str, ...]

    @property
    def plain_size(self) -> int:
        """The size in bytes of all members before compression."""
        return sum(facts.size for facts in self.plain.values())


@dataclass(frozen=True, slots=True)
class Manifest:
    """The description of one backup; `details` is None while they are encrypted.

    `origin` names the repositories it was first written to; `previous` is the SHA-256 of the
    manifest of the source's backup before it.
    """

    label: Label
    origin: tuple[str, ...]
    sequence: int
    previous: str
    kind: str
    method: str
    server_version: str
    tool_version: str
    span: Span
    started_at: datetime
    finished_at: datetime
    codec: CodecSpec
    suite: Suite | None
    members: tuple[StoredMember, ...]
    details: Details | None
    signer: str = ""

    @property
    def stored_size(self) -> int:
        """The size in bytes of all volumes."""
        return sum(member.stored_size for member in self.members)

    @property
    def objects(self) -> tuple[BackupObject, ...]:
        """All objects of all members."""
        return tuple(stored for member in self.members for stored in member.objects)

    @property
    def index_names(self) -> frozenset[str]:
        """Names of the objects that only make reading faster: all data is in the others."""
        return frozenset(one.frame_index.name for one in self.members if one.frame_index)

    def member(self, name: str) -> StoredMember:
        """Return the member `name`. Raises `ManifestInvalid` naming the members there are."""
        for member in self.members:
            if member.name == name:
                return member
        names = ", ".join(member.name for member in self.members)
        raise ManifestInvalid(f"backup {self.label} has no member {name!r}", f"it has: {names}")

    @property
    def opened(self) -> Details:
        """The details. Raises `ManifestInvalid` while they are encrypted."""
        if self.details is None:
            raise ManifestInvalid(f"the details of backup {self.label} are encrypted")
        return self.details
