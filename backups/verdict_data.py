"""Reads what `backups.verdict` judges by: few queries, however many databases.

Rows to be judged come from `with_standing`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import models
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery

from backups.models import Backup, BackupCopy, Database, DatabaseState
from backups.models.backup import FAILED_STATES, RESTORABLE_STATES, BackupState
from backups.models.source import Inclusion
from backups.state import DAMAGED_COPIES, GOOD_COPIES
from backups.verdict import (
    MAINTENANCE_BYTES,
    BackupFacts,
    DatabaseFacts,
    Verdict,
    judge_backup,
    judge_database,
)
from covetbackup.access.models import User
from covetbackup.core.databases.registry import capabilities


def with_standing(rows: QuerySet[Database]) -> QuerySet[Database]:
    """Return `rows` with their servers, their newest restorable backup and their last run."""
    newest = Backup.objects.filter(database=OuterRef("pk")).order_by("-created_at", "-id")
    good = newest.filter(state__in=RESTORABLE_STATES)
    ended = newest.filter(state__in=(*RESTORABLE_STATES, *FAILED_STATES))
    return rows.select_related("server").annotate(
        last_good_at=Subquery(good.values("consistent_at")[:1]),
        last_good_id=Subquery(good.values("id")[:1]),
        last_good_state=Subquery(good.values("state")[:1], output_field=models.CharField()),
        last_stored=Subquery(good.values("stored_bytes")[:1]),
        last_run=Subquery(ended.values("state")[:1], output_field=models.CharField()),
        last_run_id=Subquery(ended.values("id")[:1]),
    )


def fleet_of(user: User) -> list[Database]:
    """Return the databases that `user` may see and that are backed up, each with its `verdict`."""
    present = Q(is_included=True) & ~Q(state=DatabaseState.GONE)
    return judged(with_standing(Database.objects.visible_to(user).filter(present)))


def judged(rows: Iterable[Database]) -> list[Database]:
    """Return `rows` of `with_standing`, each with its `verdict`, in three queries."""
    found = list(rows)
    copies = _copies_of(_ids_to_look_at(found))
    damaged = _damaged_of(found)
    for row in found:
        row.verdict = judge_database(_facts(row, copies, damaged[row.pk]))  # type: ignore[attr-defined]
    return found


def judged_one(database: Database) -> Database:
    """Return `database`, read again, with its `verdict`."""
    return judged(with_standing(Database.objects.filter(pk=database.pk)))[0]


@dataclass(frozen=True, slots=True)
class Tally:
    """The numbers of databases that should be recoverable, and that are not."""

    total: int
    lost: int
    uncounted: int


def tally_of(verdicts: Iterable[Verdict]) -> Tally:
    """Count `verdicts`."""
    found = list(verdicts)
    counted = [verdict for verdict in found if verdict.counts]
    lost = sum(not verdict.can_restore for verdict in counted)
    return Tally(len(counted), lost, len(found) - len(counted))


def verdict_of(backup: Backup) -> Verdict:
    """Return the verdict on one backup."""
    states = Counter(backup.copies.order_by().values_list("state", flat=True))
    return judge_backup(_backup_facts(backup.state, states))


def _ids_to_look_at(rows: Sequence[Database]) -> list[UUID]:
    """The newest restorable backups, and failed ones that may have been whole once."""
    found = [row.last_good_id for row in rows if row.last_good_id]  # type: ignore[attr-defined]
    failed = [row.last_run_id for row in rows if row.last_run == BackupState.FAILED]  # type: ignore[attr-defined]
    return found + failed


def _copies_of(ids: Sequence[UUID]) -> dict[UUID, Counter[str]]:
    """The states of the copies of each of these backups."""
    found: dict[UUID, Counter[str]] = defaultdict(Counter)
    rows = BackupCopy.objects.filter(backup__in=ids).order_by()
    for backup, state in rows.values_list("backup", "state"):
        found[backup][state] += 1
    return found


def _damaged_of(rows: Sequence[Database]) -> Counter[int]:
    """How many copies of restorable backups are damaged, by database."""
    # By repository: there the index finds the few that are damaged among many that are not.
    copies = BackupCopy.objects.filter(
        repository__team__in={row.server.team_id for row in rows},
        state__in=DAMAGED_COPIES,
        backup__state__in=RESTORABLE_STATES,
    )
    return Counter(dict(copies.order_by().values_list("backup__database").annotate(Count("pk"))))


def _facts(row: Database, copies: dict[UUID, Counter[str]], damaged: int) -> DatabaseFacts:
    newest, known = None, row.__dict__
    if known["last_good_id"]:
        newest = _backup_facts(known["last_good_state"], copies[known["last_good_id"]])
    is_failed = known["last_run"] == BackupState.FAILED
    lost = _damaged_in(copies[known["last_run_id"]]) if is_failed else 0
    return DatabaseFacts(
        is_gone=row.state == DatabaseState.GONE,
        is_included=row.is_included,
        is_chosen=row.inclusion == Inclusion.INCLUDED,
        is_maintenance=_is_maintenance(row),
        is_restored_copy=row.is_restored_copy,
        newest=newest,
        last_run=known["last_run"] or "",
        last_run_is_damaged=lost > 0,
        older_damaged=damaged - (newest.damaged if newest else 0),
    )


def _is_maintenance(row: Database) -> bool:
    """Return whether it is the maintenance database of its kind of server, and as good as empty."""
    is_maintenance = row.name == capabilities(row.server.kind).maintenance_database
    return is_maintenance and (row.size_bytes or 0) <= MAINTENANCE_BYTES


def _backup_facts(state: str, copies: Counter[str]) -> BackupFacts:
    intact, damaged = sum(copies[one] for one in GOOD_COPIES), _damaged_in(copies)
    return BackupFacts(state, intact, damaged, sum(copies.values()) - intact - damaged)


def _damaged_in(copies: Counter[str]) -> int:
    return sum(copies[one] for one in DAMAGED_COPIES)
