"""The settings of one place in an S3 store: values only, checked, no connection."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

from covetbackup.core.errors import BadSetting

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"({_LABEL}\.)*{_LABEL}\.?|[0-9a-f.]*:[0-9a-f:.]*")  # what boto3 takes
_PREFIX = re.compile(r"([A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*)?")
_PREFIX_LIMIT = 120  # a key may have 1024 bytes, an object name 900
_CREDENTIAL_KEYS = ("access_key_id", "secret_access_key", "session_token")
_CREDENTIAL_FILE_LIMIT = 16 * 1024


class Addressing(StrEnum):
    """The place of the bucket's name in URLs: in the path or in the host name."""

    AUTO = "auto"
    PATH = "path"
    VIRTUAL = "virtual"


class ServerSideEncryption(StrEnum):
    """The encryption that the store itself does; values are those of the S3 API."""

    NONE = ""
    S3 = "AES256"
    KMS = "aws:kms"


@dataclass(frozen=True, slots=True)
class S3Credentials:
    """An access key; the secret parts are not in its repr."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class S3Settings:
    """A bucket, a prefix in it, and how to talk to its store.

    Without `credentials` boto3's default chain looks for some. An `endpoint_url` is for
    compatible stores; empty means Amazon's. `connect_seconds` limits the making of a connection,
    `stall_seconds` the time in which not a single byte moves. Raises `BadSetting`.
    """

    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    credentials: S3Credentials | None = None
    addressing: Addressing = Addressing.AUTO
    storage_class: str = ""
    encryption: ServerSideEncryption = ServerSideEncryption.NONE
    kms_key_id: str = ""
    connect_seconds: float = 10
    stall_seconds: float = 60

    def __post_init__(self) -> None:
        if not _BUCKET.fullmatch(self.bucket):
            raise BadSetting(f"{self.bucket!r} is not a bucket name")
        if len(self.prefix) > _PREFIX_LIMIT or not _PREFIX.fullmatch(self.prefix):
            raise BadSetting(f"{self.prefix[:80]!r} is not an object prefix")
        if self.kms_key_id and self.encryption is not ServerSideEncryption.KMS:
            raise BadSetting("a key for server-side encryption is given, but not aws:kms")
        if self.endpoint_url:
            _check_endpoint(self.endpoint_url)

    @property
    def place(self) -> str:
        """The bucket and its store, for messages."""
        at = f" at {self.endpoint_url}" if self.endpoint_url else ""
        return f"bucket {self.bucket}{at}"

    def key(self, name: str) -> str:
        """Return the key of the object `name` in the bucket."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """Return the name of the object that has `key` in the bucket."""
        return key.removeprefix(f"{self.prefix}/") if self.prefix else key


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        has_host = parts.port != 0 and _HOST.fullmatch(parts.hostname or "")
    except ValueError:  # a port that is none, brackets that do not close
        # Not quoted: credentials in it have not been looked for yet.
        raise BadSetting("the S3 endpoint cannot be read") from None
    if parts.username is not None or parts.password is not None:
        raise BadSetting("an S3 endpoint must not contain credentials")
    if parts.scheme not in ("http", "https") or not has_host:
        raise BadSetting(f"{url!r} is not an S3 endpoint", hint="e.g. https://s3.example.com")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise BadSetting(f"S3 endpoint {url!r} has a path or query", hint="host and port only")


def s3_credentials_from_file(path: Path) -> S3Credentials:
    """Read credentials from lines such as `access_key_id=…`.

    The others are `secret_access_key=…` and `session_token=…`. Blank lines, comments (#) and
    [section] headers are skipped. Raises `BadSetting`, also when others than the owner may read the
    file.
    """
    values: dict[str, str] = {}
    for line in _private_text(path).splitlines():
        line = line.strip()
        if not line or line.startswith(("#", "[")):
            continue
        key, _, value = line.partition("=")
        if key.strip() not in _CREDENTIAL_KEYS or key.strip() in values:
            raise BadSetting(
                f"{path} has a line that is not one of {', '.join(_CREDENTIAL_KEYS)}",
                hint="one name=value per line, each name once",
            )
        values[key.strip()] = value.strip()
    if not values.get("access_key_id") or not values.get("secret_access_key"):
        raise BadSetting(f"{path} lacks access_key_id or secret_access_key")
    return S3Credentials(**values)


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode) or state.st_mode & 0o077:
                raise BadSetting(
                    f"{path} can be read by others than its owner", hint=f"chmod 600 {path}"
                )
            return file.read(_CREDENTIAL_FILE_LIMIT).decode()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise BadSetting(f"{path} cannot be read: {reason}") from error
    except UnicodeDecodeError:
        # Not chained: the error would carry the file's bytes.
        raise BadSetting(f"{path} is not text") from None
