"""Manifests as tables, lines and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from covetbackup.core.cli.report import TextTable
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.repository.json_reader import format_instant
from covetbackup.core.repository.manifest import Manifest
from covetbackup.core.repository.member_streams import streams
from covetbackup.core.repository.open_backup import signer_of
from covetbackup.core.repository.repository import ListEntry
from covetbackup.core.text import count_text, duration_text, size_text

_SHOWN_TABLES = 50


def backup_table(listed: Sequence[ListEntry]) -> TextTable:
    """Return a table with a row for each backup; a damaged one has its problem in it."""
    rows = [_row(entry) for entry in listed]
    return TextTable(("LABEL", "KIND", "STORED", "CODEC", "CIPHER"), rows, numeric=frozenset({2}))


def _row(entry: ListEntry) -> tuple[str, ...]:
    manifest = entry.manifest
    if manifest is None:
        return (str(entry.label), f"damaged: {entry.problem}", "", "", "")
    cipher = manifest.suite.value if manifest.suite else "none"
    size = size_text(manifest.stored_size)
    return (str(entry.label), manifest.kind, size, str(manifest.codec), cipher)


def entry_json(entry: ListEntry) -> dict[str, Any]:
    """Return one entry of a listing for `--json`."""
    if entry.manifest is None:
        return {"label": str(entry.label), "problem": str(entry.problem)}
    return manifest_json(entry.manifest)


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """Return all that is known; "details" is None while they are encrypted."""
    signer = signer_of(manifest)
    details = manifest.details
    return {
        "label": str(manifest.label),
        "kind": manifest.kind,
        "method": manifest.method,
        "server_version": manifest.server_version,
        "tool_version": manifest.tool_version,
        "started_at": format_instant(manifest.started_at),
        "finished_at": format_instant(manifest.finished_at),
        "codec": str(manifest.codec),
        "cipher": manifest.suite.value if manifest.suite else "none",
        "stored_bytes": manifest.stored_size,
        "signer": signer.signer_id if signer else "",
        "members": [
            {
                "name": member.name,
                "stored_bytes": member.stored_size,
                "volumes": len(member.volumes),
            }
            for member in manifest.members
        ],
        "details": details
        and {
            "database": details.database,
            "where": details.where,
            "plain_bytes": details.plain_size,
            "inventory": details.inventory.to_json(),
            "warnings": details.warnings,
        },
    }


def summary(manifest: Manifest) -> list[str]:
    """Return a few lines about the backup: warnings, label, sizes, contents."""
    details = manifest.opened
    plain, stored = details.plain_size, manifest.stored_size
    seconds = (manifest.finished_at - manifest.started_at).total_seconds()
    ratio = f"{plain / stored:.2f}" if stored else "-"
    inventory = details.inventory
    return [
        *(f"warning: {warning}" for warning in details.warnings),
        str(manifest.label),
        f"{size_text(plain)} of {details.database} stored in {size_text(stored)} "
        f"(ratio {ratio}) in {duration_text(seconds)}",
        contents_text(inventory),
    ]


def details(manifest: Manifest) -> list[str]:
    """Return the lines about one backup with its members and contents."""
    opened = manifest.opened
    signer = signer_of(manifest)
    stopped_at = format_instant(manifest.span.stopped_at)
    return [
        *summary(manifest),
        f"{manifest.kind} {manifest.server_version}, method {manifest.method}, "
        f"tool {manifest.tool_version}",
        f"consistent at {stopped_at} {manifest.span.stop_position}".rstrip(),
        f"codec {manifest.codec}, cipher {manifest.suite or 'none'}, "
        f"{f'signed by {signer.signer_id}' if signer else 'not signed'}",
        *_members(manifest),
        *contents_lines(opened.inventory),
    ]


def _members(manifest: Manifest) -> Iterator[str]:
    """Yield a line for each member; one for all parts of a stream: there may be thousands."""
    members = {member.name: member for member in manifest.members}
    for stream in streams(manifest):
        found = [members[name] for name in stream.members]
        plain = sum(manifest.opened.plain[name].size for name in stream.members)
        stored = sum(member.stored_size for member in found)
        volumes = count_text(sum(len(member.volumes) for member in found), "volume")
        parts = f" in {len(found)} parts" if len(found) > 1 else ""
        yield f"member {stream.name}{parts}: {size_text(plain)} in {size_text(stored)}, {volumes}"


def contents_text(inventory: Inventory) -> str:
    """Return the number of tables and rows, such as "2 tables with 7 rows"."""
    tables = count_text(len(inventory.tables), "table")
    return f"{tables} with {count_text(inventory.row_count, 'row')}"


def contents_lines(inventory: Inventory) -> Iterator[str]:
    """Yield a line for each table, up to 50, and one for each other kind of content."""
    for found in inventory.tables[:_SHOWN_TABLES]:
        rows = "? rows" if found.rows is None else f"{found.rows} rows"
        yield f"table {found.label}: {'' if found.exact else 'about '}{rows}"
    if len(inventory.tables) > _SHOWN_TABLES:
        yield f"and {len(inventory.tables) - _SHOWN_TABLES} more tables"
    if inventory.sequences:
        yield count_text(len(inventory.sequences), "sequence")
    if inventory.large_objects:
        yield count_text(inventory.large_objects, "large object")
    if inventory.extensions:
        yield "extensions: " + ", ".join(inventory.extensions)
    if inventory.roles:
        yield "roles: " + ", ".join(inventory.roles)
