"""A backup's own table of contents: how large its tables are, and what a selection comes to.

Reads from storage no more than that table. What the catalog knows stands in `picking`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from backups.engine_factory import keyring_for, open_repository
from backups.models import Backup, Repository
from backups.timeout import within
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.checks import Check, Level, counted, join_names
from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.selection import (
    Listing,
    PrivilegedListing,
    ResolvedSelection,
    Selection,
)
from covetbackup.core.errors import CovetError, StorageUnavailable, as_sentence
from covetbackup.core.manager import RestoreManager, contents_of
from covetbackup.core.progress import Silent
from covetbackup.core.repository.open_backup import OpenedBackup
from covetbackup.core.repository.repository import Repository as EngineRepository
from covetbackup.core.text import size_text
from restores.plan import readable_copies

_SECONDS = 2.0
_MOST_SIZED = 3000
"""The contents of 2 000 tables took 0.4 s to read. Without sizes a list serves as well."""
_NAMED = 40
_TITLE = "Selection"


@dataclass(frozen=True, slots=True)
class Brought:
    """What a selection would bring, as checks; without `chosen` it cannot be told."""

    checks: tuple[Check, ...]
    plain_bytes: int | None = None
    chosen: ResolvedSelection | None = None


def read_contents(repository: EngineRepository, opened: OpenedBackup) -> Listing | CovetError:
    """Return the contents of a backup that is opened, or why they cannot be read."""
    try:
        return contents_of(repository, opened, Silent())
    except CovetError as error:
        return error


def look_at(
    contents: Listing | CovetError,
    *,
    selection: Selection,
    whole: Inventory,
    adds: bool = False,
) -> Brought:
    """What `selection` brings of a backup with these `contents` that holds `whole`, to a new
    database unless it `adds` to one that is there. Contacts nothing."""
    try:
        if isinstance(contents, CovetError):
            raise contents
        chosen = contents.chosen(selection)
    except CovetError as error:
        fix = f"{as_sentence(error.hint)} Change the selection, or restore everything.".strip()
        return Brought((Check(Level.FAIL, _TITLE, as_sentence(error.message), fix),))
    sizes = contents.table_bytes() if chosen.with_data else {}
    plain_bytes = sum(sizes.get(name, 0) for name in chosen.tables)
    return Brought(
        (_sum(chosen, whole, plain_bytes), *_remarks(chosen, adds=adds)), plain_bytes, chosen
    )


def privileged_of(contents: Listing | CovetError, selection: Selection | None) -> tuple[str, ...]:
    """What only a superuser may create of a backup, as far as its contents can be told."""
    try:
        return contents.privileged(selection) if isinstance(contents, PrivilegedListing) else ()
    except CovetError:
        return ()  # of a selection that is not possible another check tells


def table_bytes(backup: Backup) -> dict[str, int]:
    """By label, in plain bytes. Empty where that cannot be read in a moment: it is a help to
    choose, and no more."""
    copies = readable_copies(backup)
    if not copies or (backup.table_count or 0) > _MOST_SIZED:
        return {}
    try:
        keyring = keyring_for(backup.database.server.team)
        read = partial(_table_bytes, copies[0].repository, backup.label, keyring)
        return within(_SECONDS, read, late=StorageUnavailable("the contents were not read in time"))
    except CovetError:
        return {}


def _table_bytes(row: Repository, label: str, keyring: Keyring) -> dict[str, int]:
    return RestoreManager(open_repository(row), keyring).contents(label).table_bytes()


def _sum(chosen: ResolvedSelection, whole: Inventory, plain_bytes: int) -> Check:
    part = chosen.of(whole)
    count = f"{len(part.tables):,} of {counted(len(whole.tables), 'table')}"
    if not chosen.with_data:
        return Check(Level.PASS, _TITLE, f"The structure of {count}, without rows.")
    about = "" if all(table.exact for table in part.tables) else "about "
    rows = f"{about}{counted(part.row_count, 'row')}"
    return Check(Level.PASS, _TITLE, f"{count}: {rows}, {size_text(plain_bytes)} to be loaded.")


def _remarks(chosen: ResolvedSelection, *, adds: bool) -> Iterator[Check]:
    """What nobody asked for, and what will be missing."""
    if chosen.pulled:
        detail = f"Also restored as dependencies: {join_names(chosen.pulled, _NAMED)}."
        yield Check(Level.PASS, "Dependencies", detail)
    tried = chosen.outgoing if adds else ()
    if tried:
        detail = (
            "Those to existing tables are created if the rows allow it; from then on, these tables "
            f"are locked against writes until the restore has ended: {join_names(tried, _NAMED)}."
        )
        fix = "Restore at a quiet time. The job's log lists those created; add the others yourself."
        yield Check(Level.WARNING, "Foreign keys", detail, fix)
    left_out = [name for name in chosen.skipped if name not in tried]
    if left_out:
        detail = f"Not restored, as the other table is left out: {join_names(left_out, _NAMED)}."
        yield Check(Level.WARNING, "Foreign keys", detail, "Select the other tables as well.")
    for warning in chosen.warnings:
        yield Check(Level.WARNING, "Undetectable dependencies", as_sentence(warning))
    for line in chosen.left_out:
        yield Check(Level.WARNING, "Left out", as_sentence(line))
