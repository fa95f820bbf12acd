"""Names of the objects in a repository, and the labels of backups. No I/O.

covet.json                                  marker: what makes a storage a repository
RECOVERY.md, covet_open.py                  how to restore by hand, with a reader
keys/<key id>.json                          public records of the keys in use
b/<label>/<member><.zst>[.cvb][.001 …]      volumes; the first has no number
b/<label>/<member>.index[.cvb]              frame index of the member
b/<label>/keys.<generation>.json            the backup's wrapped DEK
b/<label>/manifest.json                     written last, removed first
keys-mirror/<backup id>.<generation>.json   second copy of the keys object
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.codec import CodecSpec

BACKUPS = "b/"
MIRROR = "keys-mirror/"
KEY_RECORDS = "keys/"
MANIFEST = "manifest.json"
ENCRYPTED_SUFFIX = ".cvb"
_STAMP = "%Y%m%dT%H%M%SZ"
_LABEL = re.compile(
    r"(?P<slug>[a-z0-9][a-z0-9._-]{0,63})/(?P<stamp>\d{8}T\d{6}Z)-(?P<id>[0-9a-f]{32})"
)
_SLUG = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_KEYS = re.compile(r"keys\.(\d{6})\.json")


@dataclass(frozen=True, slots=True)
class Label:
    """The name of a backup: source slug, start time in UTC, backup id (16 bytes)."""

    slug: str
    started_at: datetime
    backup_id: bytes

    def __str__(self) -> str:
        return f"{self.slug}/{self.started_at.strftime(_STAMP)}-{self.backup_id.hex()}"

    @classmethod
    def parse(cls, text: str) -> Label:
        """Read what `str` writes. Raises `BadSetting`."""
        match = _LABEL.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            started_at = datetime.strptime(match["stamp"], _STAMP).replace(tzinfo=UTC)
        except ValueError:
            raise BadSetting(
                f"{text[:120]!r} is not a backup label", "labels are shown by the list command"
            ) from None
        return cls(match["slug"], started_at, bytes.fromhex(match["id"]))

    @property
    def folder(self) -> str:
        """The prefix of the names of the backup's objects."""
        return f"{BACKUPS}{self}/"

    @property
    def manifest(self) -> str:
        """The name of the backup's manifest."""
        return self.folder + MANIFEST


def new_label(slug: str, now: datetime, backup_id: bytes) -> Label:
    """Return a label for a backup of `slug` begun at `now` (aware). Raises `BadSetting`."""
    if not _SLUG.fullmatch(slug):
        raise BadSetting(
            f"{slug[:80]!r} cannot name a source",
            "use up to 64 of a-z 0-9 . _ - and begin with a letter or digit",
        )
    return Label(slug, now.astimezone(UTC).replace(microsecond=0), backup_id)


def slug_of(kind: str, where: str, name: str) -> str:
    """Return a stable slug for the database `name` of `kind` at `where` (its server or folder).

    Its name as far as a slug can hold it, and 8 hex digits of SHA-256, so that two databases whose
    names look alike never share one.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40] or kind
    digest = hashlib.sha256("\0".join((kind, where, name)).encode()).hexdigest()
    return f"{readable}-{digest[:8]}"


def volume_name(member: str, codec: CodecSpec, *, encrypted: bool, volume: int) -> str:
    """Return the name, inside the backup's folder, of a member's volume (from 0)."""
    suffix = codec.suffix + (ENCRYPTED_SUFFIX if encrypted else "")
    return f"{member}{suffix}" + (f".{volume:03d}" if volume else "")


def index_name(member: str, *, encrypted: bool) -> str:
    """Return the name, inside the backup's folder, of a member's frame index."""
    return f"{member}.index" + (ENCRYPTED_SUFFIX if encrypted else "")


def keys_name(generation: int) -> str:
    """Return the name, inside the backup's folder, of a keys object."""
    return f"keys.{generation:06d}.json"


def keys_generation(name: str) -> int | None:
    """Return the generation in the last part of `name`, None if it is no keys object's."""
    match = _KEYS.fullmatch(name.rsplit("/", 1)[-1])
    return int(match[1]) if match else None


def mirror_name(backup_id: bytes, generation: int) -> str:
    """Return the name of the second copy of a keys object."""
    return f"{MIRROR}{backup_id.hex()}.{generation:06d}.json"
