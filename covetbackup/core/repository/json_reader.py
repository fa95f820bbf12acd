"""Typed access to parsed JSON: a missing or mistyped field is an error that names it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from covetbackup.core.errors import ManifestInvalid


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an object in a document; `what` names the document in errors.

    All methods raise `ManifestInvalid` for a field that is missing or of another type.
    """

    values: dict[str, Any]
    what: str

    def text(self, name: str) -> str:
        """Return a text."""
        value = self.values.get(name)
        if not isinstance(value, str):
            raise self._wrong(name, "text")
        return value

    def number(self, name: str) -> int:
        """Return an integer that is not negative."""
        value = self.values.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(name, "a number that is not negative")
        return value

    def instant(self, name: str) -> datetime:
        """Return a time, aware UTC."""
        try:
            return datetime.fromisoformat(self.text(name)).astimezone(UTC)
        except (ValueError, OverflowError) as error:  # in UTC it may fall outside all years
            raise self._wrong(name, "a time") from error

    def digest(self, name: str) -> str:
        """Return a SHA-256 in hexadecimal."""
        value = self.text(name)
        if len(value) != 64 or value.strip("0123456789abcdef"):
            raise self._wrong(name, "a SHA-256 in hex")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self.values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, "a list of texts")
        return tuple(value)

    def part(self, name: str) -> Fields:
        """Return an object."""
        value = self.values.get(name)
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Fields(value, self.what)

    def parts(self, name: str) -> Iterator[Fields]:
        """Return the objects of a list."""
        value = self.values.get(name)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._wrong(name, "a list of objects")
        return (Fields(item, self.what) for item in value)

    def _wrong(self, name: str, wanted: str) -> ManifestInvalid:
        return ManifestInvalid(f"{self.what} is damaged: {name!r} is not {wanted}")


def format_instant(moment: datetime) -> str:
    """Return an instant as manifests write it: ISO 8601 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
