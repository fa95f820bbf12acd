"""Secrets that never show: a value with a blank repr, a file that only a child sees, redaction.

Nothing here keeps a secret out of this process's own memory.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

_MARK = b"***"
_SHORTEST_ENCODED = 6  # the middle of a shorter secret's base64 is found in ordinary words


@dataclass(frozen=True, slots=True)
class Secret:
    """A text that is never shown: `repr`, `str` and format give "Secret()"."""

    _value: str = field(repr=False)

    def reveal(self) -> str:
        """Return the text itself."""
        return self._value


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file for one child: memory only, mode 0600 (libpq refuses others), gone with the child.

    Stands in an argument list or environment for its own path; `prefix` comes before the path, as
    in `--defaults-extra-file=`. `name` is for people and may be seen by others.
    """

    name: str
    content: Secret
    prefix: str = ""

    def open(self) -> int:
        """Return a descriptor of a fresh file with the content; the caller closes it."""
        descriptor = os.memfd_create(self.name, os.MFD_CLOEXEC)
        try:
            os.fchmod(descriptor, 0o600)
            rest = memoryview(self.content.reveal().encode())
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def argument(self, descriptor: int) -> str:
        return f"{self.prefix}/proc/self/fd/{descriptor}"


def redact(text: bytes, secrets: Iterable[Secret]) -> bytes:
    """Return `text` without the secrets.

    Finds them raw, URL-quoted, SQL-quoted, JSON-escaped and as base64 at any alignment; longest
    forms first, so that no form leaves a part of another behind.
    """
    forms = {form for secret in secrets for form in _forms(secret.reveal()) if form}
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, _MARK)
    return text


def longest_form(secrets: Iterable[Secret]) -> int:
    """Return the length in bytes of the longest thing that `redact` looks for."""
    return max((len(form) for secret in secrets for form in _forms(secret.reveal())), default=0)


def _forms(value: str) -> Iterator[bytes]:
    raw = value.encode()
    yield raw
    yield quote(value).encode()
    yield quote(value, safe="").encode()
    yield quote_plus(value).encode()
    yield value.replace("'", "''").encode()
    yield json.dumps(value)[1:-1].encode()
    yield json.dumps(value, ensure_ascii=False)[1:-1].encode()
    if len(raw) >= _SHORTEST_ENCODED:
        yield from _base64_forms(raw)


def _base64_forms(raw: bytes) -> Iterator[bytes]:
    """The letters of `raw`'s base64 that do not depend on its neighbours, for each alignment."""
    for lead in range(3):
        padded = bytes(lead) + raw
        first = (8 * lead + 5) // 6
        last = 8 * len(padded) // 6
        yield base64.b64encode(padded)[first:last]
        yield base64.urlsafe_b64encode(padded)[first:last]
