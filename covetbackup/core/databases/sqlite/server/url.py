"""The `sqlite:////absolute/path` notation and the `file:` URIs that SQLite itself opens."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote, quote_from_bytes, unquote, unquote_to_bytes, urlsplit

from covetbackup.core.errors import BadSetting

_SCHEME = "sqlite://"


def parse_url(url: str) -> Path:
    """Return the absolute path that `url` names; `%xx` is decoded byte by byte.

    Raises `BadSetting` for another scheme, a relative path, a host, or a bare `?` or `#`, which in
    a URL would silently cut the file's name short.
    """
    rest = url.removeprefix(_SCHEME)
    if rest == url or not rest.startswith("/"):
        raise BadSetting(f"{url!r} is not a SQLite URL", "write sqlite:////absolute/path")
    if "?" in rest or "#" in rest:
        raise BadSetting(f"{url!r} has a bare ? or #", "write %3F and %23 inside a file name")
    raw = unquote_to_bytes(rest)
    if not raw.startswith(b"//") or raw.endswith(b"/"):
        raise BadSetting(f"{url!r} names no absolute file", "write four slashes: sqlite:////path")
    return checked_path(Path(os.fsdecode(raw[1:])))


def parse_folder(url: str) -> str:
    """Return the absolute path of the folder that `url` names, without slashes at its end.

    Raises `BadSetting`.
    """
    if not url.startswith(f"{_SCHEME}//"):
        raise BadSetting(f"{url[:200]!r} is not a folder", "write sqlite:////absolute/path")
    return unquote(urlsplit(url).path)[1:].rstrip("/") or "/"


def to_url(path: Path) -> str:
    """Return the URL of a path, which `parse_url` reads."""
    return f"{_SCHEME}/{quote_from_bytes(os.fsencode(path))}"


def checked_path(path: Path) -> Path:
    """Return `path` if it is one that an operating system can open. Raises `BadSetting`."""
    if not path.is_absolute() or "\0" in str(path):
        raise BadSetting(f"{str(path)!r} is not an absolute path", "give the full path")
    return path


def open_uri(path: Path, **parameters: str) -> str:
    """Return the `file:` URI of `path`, with special characters of the name quoted.

    See https://sqlite.org/uri.html; bytes that are no UTF-8 are quoted as they are on disk.
    """
    query = "&".join(f"{name}={quote(value)}" for name, value in parameters.items())
    return f"file://{quote_from_bytes(os.fsencode(path))}?{query}"
