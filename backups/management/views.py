"""Rows of the catalog as commands print them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from backups.models import Backup
from covetbackup.core.cli.report import TextTable
from covetbackup.core.cli.views import contents_lines
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.text import count_text, size_text


def backup_json(backup: Backup) -> dict[str, Any]:
    """Return what scripts may rely on; `show` has the inventory too."""
    return {
        "id": str(backup.pk),
        "label": backup.label,
        "state": backup.state,
        "server": backup.database.server.name,
        "database": backup.database.name,
        "created_at": _stamp(backup.created_at),
        "consistent_at": _stamp(backup.consistent_at),
        "method": backup.method,
        "codec": backup.codec,
        "cipher": backup.cipher,
        "plain_bytes": backup.plain_bytes,
        "stored_bytes": backup.stored_bytes,
        "tables": backup.table_count,
        "rows": backup.row_count,
        "pinned": backup.is_pinned,
        "verified_at": _stamp(backup.verified_at),
        "verified_level": backup.verified_level,
        "verify_problem": backup.verify_problem,
    }


def copies_json(backup: Backup) -> list[dict[str, Any]]:
    """Return the copies of `backup` for `--json`."""
    return [
        {"repository": copy.repository.name, "state": copy.state, "problem": copy.problem}
        for copy in backup.copies.select_related("repository").order_by("pk")
    ]


def backup_table(backups: Sequence[Backup]) -> TextTable:
    """Return a table with a row for each backup."""
    headers = ("ID", "CREATED (UTC)", "STATE", "STORED", "DATABASE")
    return TextTable(headers, [_row(backup) for backup in backups], numeric=frozenset({3}))


def _row(backup: Backup) -> tuple[str, ...]:
    size = "" if backup.stored_bytes is None else size_text(backup.stored_bytes)
    created = f"{backup.created_at:%Y-%m-%d %H:%M}"
    return (backup.pk.hex[:8], created, backup.state, size, str(backup.database))


def backup_lines(backup: Backup) -> list[str]:
    """Return the lines about a backup that a command has worked on."""
    lines = [f"warning: {warning}" for warning in backup.warnings]
    lines.append(f"{backup.label or backup.pk}: {backup.state}")
    if backup.plain_bytes is not None and backup.stored_bytes:
        lines.append(
            f"{size_text(backup.plain_bytes)} of {backup.database} stored in "
            f"{size_text(backup.stored_bytes)} (ratio {backup.ratio:.2f})"
        )
    if backup.table_count is not None:
        tables = count_text(backup.table_count, "table")
        lines.append(f"{tables} with {count_text(backup.row_count or 0, 'row')}")
    for copy in backup.copies.select_related("repository").order_by("pk"):
        lines.append(f"copy in {copy.repository}: {copy.state} {copy.problem}".rstrip())
    return lines


def details(backup: Backup) -> list[str]:
    """Return the lines about one backup: state, times, sizes, copies, checks and contents."""
    lines = [f"{backup.database}, created {backup.created_at:%Y-%m-%d %H:%M} UTC"]
    lines += [f"id {backup.pk}", *backup_lines(backup)]
    if backup.method:
        lines.append(f"method {backup.method}, codec {backup.codec}, cipher {backup.cipher}")
    lines += [f"note: {backup.note}"] if backup.note else []
    lines += [f"tags: {', '.join(backup.tags)}"] if backup.tags else []
    lines += ["pinned"] if backup.is_pinned else []
    if backup.verified_at:
        problem = backup.verify_problem or "no fault found"
        moment = f"{backup.verified_at:%Y-%m-%d %H:%M} UTC"
        lines.append(f"verified {moment} at level {backup.verified_level}: {problem}")
    lines += [f"error: {backup.error}"] if backup.error else []
    lines += [f"hint: {backup.hint}"] if backup.hint else []
    if backup.inventory:
        lines += contents_lines(Inventory.from_json(backup.inventory))
    return lines


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
