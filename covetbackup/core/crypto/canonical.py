"""The one JSON dialect of manifests and keys objects: strict to read, canonical to write.

Canonical form: the subset of RFC 8785 without fractions: UTF-8, no spaces, object keys sorted by
code point, integers within ±(2^53-1), strings, booleans, null. A MAC or signature is always
taken over `dump`, so equal values have equal bytes.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any, NoReturn

from covetbackup.core.errors import ManifestInvalid

SIZE_LIMIT = 16 << 20
DEPTH_LIMIT = 32
_INTEGER_LIMIT = (1 << 53) - 1  # beyond it a reader that uses doubles sees another number


def parse(data: bytes, *, limit: int = SIZE_LIMIT, name: str = "document") -> dict[str, Any]:
    """Return the JSON object in `data`; `name` is used in messages only.

    Raises `ManifestInvalid` for more than `limit` bytes (before any parsing), anything that is not
    UTF-8 JSON, a repeated key, a fraction, NaN, an integer beyond 2^53-1, an unpaired surrogate,
    more than 32 levels, or a top level that is not an object.
    """
    if len(data) > limit:
        raise ManifestInvalid(f"{name} has {len(data)} bytes, the limit is {limit}")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_without_repeats,
            parse_float=_refuse_number,
            parse_constant=_refuse_number,
        )
        _check(value, DEPTH_LIMIT)
    except RecursionError as error:
        raise ManifestInvalid(f"{name} is nested too deeply") from error
    except ValueError as error:
        raise ManifestInvalid(f"{name} is not valid: {error}") from error
    if not isinstance(value, dict):
        raise ManifestInvalid(f"{name} is not a JSON object")
    return value


def dump(value: Any) -> bytes:
    """Return `value` in canonical form. Tuples are written as lists.

    Raises `ManifestInvalid` for what `parse` would refuse (a fraction, a key that is not text …).
    """
    try:
        _check(value, DEPTH_LIMIT)
    except ValueError as error:
        raise ManifestInvalid(f"value cannot be written: {error}") from error
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode()


def encode_bytes(data: bytes) -> str:
    """Return `data` as it stands in JSON: base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def decode_bytes(text: Any, *, length: int | None = None, name: str = "field") -> bytes:
    """Return the bytes that `encode_bytes` wrote as `text`.

    Raises `ManifestInvalid` for anything that `encode_bytes` would not have written (one spelling
    only, RFC 4648, section 3.5) or another `length`.
    """
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        data = None
    if data is None or encode_bytes(data) != text:
        raise ManifestInvalid(f"{name} is not base64")
    if length is not None and len(data) != length:
        raise ManifestInvalid(f"{name} has {len(data)} bytes instead of {length}")
    return data


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"key {key[:80]!r} appears twice")
        result[key] = value
    return result


def _refuse_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not an integer")


def _check(value: Any, depth: int) -> None:
    if depth == 0:
        raise ValueError(f"nested more than {DEPTH_LIMIT} levels deep")
    if isinstance(value, dict):
        for key, item in value.items():
            _check_text(key)
            _check(item, depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check(item, depth - 1)
    else:
        _check_scalar(value)


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, int):
        if abs(value) > _INTEGER_LIMIT:
            raise ValueError("an integer is beyond 2^53-1")
    elif value is not None:
        raise ValueError(f"{type(value).__name__} has no place in this dialect")


def _check_text(text: Any) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{type(text).__name__} is used as a key")
    text.encode("utf-8")  # an unpaired surrogate raises UnicodeEncodeError, a ValueError
