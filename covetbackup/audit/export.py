"""The audit log as CSV (RFC 4180), a line at a time."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import UTC
from io import StringIO

from django.db.models import QuerySet

from covetbackup.audit.models import AuditEntry

COLUMNS = (
    "sequence",
    "at",
    "team",
    "actor",
    "action",
    "object_kind",
    "object_id",
    "object_name",
    "outcome",
    "address",
    "via",
    "details",
    "digest",
)


def lines_of(entries: QuerySet[AuditEntry]) -> Iterator[str]:
    """Yield the heading of a CSV file, then entries, oldest first. Times are UTC."""
    yield _line(COLUMNS)
    for entry in entries.order_by("sequence").iterator(chunk_size=1000):
        values = {name: getattr(entry, name) for name in COLUMNS}
        values["at"] = entry.at.astimezone(UTC).isoformat()
        values["team"] = entry.team or ""
        values["details"] = json.dumps(entry.details, sort_keys=True)
        yield _line([_inert(str(value)) for value in values.values()])


def _inert(text: str) -> str:
    """Return a cell that spreadsheets do not run as a formula, as they would by how it begins."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _line(cells: tuple[str, ...] | list[str]) -> str:
    buffer = StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
