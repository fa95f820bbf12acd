"""Comparison of what a store says it holds with what was sent: checksums, ETags, our mark."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

MARK = "covet-upload"
"""Metadata that tells our object from another writer's of the same name."""

_PLAIN_ETAG = re.compile(r'"?([0-9a-f]{32})"?')
_KMS_VALUES = ("aws:kms", "aws:kms:dsse")


def base64_of(digest: bytes) -> str:
    """Return a digest as S3 headers carry it: base64."""
    return base64.b64encode(digest).decode()


def confirms(answer: Mapping[str, Any], body: io.BytesIO, digest: bytes) -> bool:
    """Return whether a store's answer about `body` (its SHA-256 is `digest`) fits it.

    A store that echoes the SHA-256 is taken at its word; else the ETag must be the MD5, which it is
    by the S3 API reference unless the object is encrypted with a customer's or KMS key.
    """
    echoed = answer.get("ChecksumSHA256")
    if echoed:
        return bool(echoed == base64_of(digest))
    is_kms = answer.get("ServerSideEncryption") in _KMS_VALUES or answer.get("SSECustomerAlgorithm")
    etag = _PLAIN_ETAG.fullmatch(answer.get("ETag", ""))
    if is_kms or etag is None:
        return True
    return etag[1] == hashlib.md5(body.getbuffer(), usedforsecurity=False).hexdigest()


def confirms_parts(answer: Mapping[str, Any], digests: Sequence[bytes]) -> bool:
    """Return whether the checksum of a completed upload, if there is one, fits its parts.

    It is the SHA-256 of the parts' SHA-256 ("composite"), followed by their number.
    """
    echoed = str(answer.get("ChecksumSHA256") or "").partition("-")[0]
    return not echoed or echoed == base64_of(hashlib.sha256(b"".join(digests)).digest())


def is_marked(head: Mapping[str, Any] | None, mark: str) -> bool:
    """Return whether an object, by its HEAD, is of the upload that carries `mark`."""
    metadata = head.get("Metadata", {}) if head else {}
    # Some stores give the names of metadata back capitalised.
    return any(key.lower() == MARK and value == mark for key, value in metadata.items())
