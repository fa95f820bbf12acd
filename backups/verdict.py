"""Whether a database, or one backup, can be restored: one decision for every page that says so.

Pure: plain values in, a verdict with its reason out. `backups.standing` reads the values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAINTENANCE_BYTES = 16 * 1024**2
"""An empty maintenance database has 7 to 8 MiB; a larger one may hold data of a user."""


class Tone(StrEnum):
    """The colour of a verdict, worst first; NEUTRAL is for what does not count."""

    BAD = "bad"
    WARN = "warn"
    OK = "ok"
    NEUTRAL = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on a database or backup.

    `badge` names a badge of the templates. `reason` completes a sentence that begins with the name
    of the subject; "" if there is nothing to say. `order` sorts the worst first.
    """

    badge: str
    tone: Tone
    reason: str = ""
    order: int = 9
    can_restore: bool = False

    @property
    def counts(self) -> bool:
        """Whether it is one of the databases that ought to be recoverable."""
        return self.tone is not Tone.NEUTRAL


@dataclass(frozen=True, slots=True)
class BackupFacts:
    """The facts about a backup.

    `damaged` copies are missing or corrupt, `absent` ones were never stored.
    """

    state: str
    intact: int = 0
    damaged: int = 0
    absent: int = 0

    @property
    def copies(self) -> int:
        """The number of copies."""
        return self.intact + self.damaged + self.absent


@dataclass(frozen=True, slots=True)
class DatabaseFacts:
    """The facts about a database.

    `newest` is the newest backup that can be restored, if there is one. `last_run` is the state of
    the last backup that ended without being cancelled, `last_run_is_damaged` whether that one was
    whole once. `older_damaged` counts damaged copies of other restorable backups.
    """

    is_gone: bool = False
    is_included: bool = True
    is_chosen: bool = False
    is_maintenance: bool = False
    is_restored_copy: bool = False
    newest: BackupFacts | None = None
    last_run: str = ""
    last_run_is_damaged: bool = False
    older_damaged: int = 0


def judge_database(facts: DatabaseFacts) -> Verdict:
    """Return the verdict on a database.

    Maintenance databases and restored copies do not count before they are backed up or included by
    hand: what only they hold is no loss.
    """
    if facts.is_gone:
        return Verdict("gone", Tone.NEUTRAL, "is no longer on its server")
    if not facts.is_included:
        return Verdict("not included", Tone.NEUTRAL, "is excluded from backups")
    if facts.newest is None:
        return _judge_without_backup(facts)
    own = judge_backup(facts.newest)
    if own.tone is Tone.BAD:
        return own
    return min(own, _judge_around(facts), key=lambda verdict: verdict.order)


def judge_backup(facts: BackupFacts) -> Verdict:
    """Return the verdict on one backup, by its state and its copies."""
    if facts.state not in ("available", "degraded"):
        return _judge_unusable(facts)
    if facts.damaged and not facts.intact:
        return _damaged(facts)
    if facts.damaged:
        reason = f"can be restored, but {_of_copies(facts.damaged, facts)} damaged"
        return Verdict("copy damaged", Tone.WARN, reason, 2, can_restore=True)
    if facts.absent or facts.state == "degraded":
        reason = f"can be restored, but {_of_copies(max(facts.absent, 1), facts)} missing"
        return Verdict("copy missing", Tone.WARN, reason, 5, can_restore=True)
    return Verdict("recoverable", Tone.OK, "can be restored", can_restore=True)


def _judge_without_backup(facts: DatabaseFacts) -> Verdict:
    if facts.last_run_is_damaged:
        reason = "has no restorable backup: every copy of the newest one is damaged"
        return Verdict("damaged", Tone.BAD, reason, 0)
    if facts.is_maintenance and not facts.is_chosen:
        reason = "is a maintenance database; not counted until it is backed up or included manually"
        return Verdict("not backed up", Tone.NEUTRAL, reason, 10)
    if facts.is_restored_copy and not facts.is_chosen:
        reason = "is a restored copy; not counted until it is backed up or included manually"
        return Verdict("not backed up", Tone.NEUTRAL, reason, 10)
    if facts.last_run in ("failed", "interrupted"):
        reason = f"has no restorable backup, and the last run {_ended(facts.last_run)}"
        return Verdict("not protected", Tone.BAD, reason, 0)
    return Verdict("not protected", Tone.BAD, "has no restorable backup", 1)


def _judge_around(facts: DatabaseFacts) -> Verdict:
    """By what surrounds the newest restorable backup."""
    if facts.last_run_is_damaged:
        reason = "can be restored from an older backup; every copy of the newest one is damaged"
        return Verdict("newest damaged", Tone.WARN, reason, 2, can_restore=True)
    if facts.last_run in ("failed", "interrupted"):
        reason = f"can be restored from an older backup; the last run {_ended(facts.last_run)}"
        return Verdict(f"last run {facts.last_run}", Tone.WARN, reason, 3, can_restore=True)
    if facts.older_damaged:
        one = facts.older_damaged == 1
        what = "a copy of an older backup is" if one else "copies of older backups are"
        reason = f"can be restored, but {what} damaged"
        return Verdict("copy damaged", Tone.WARN, reason, 4, can_restore=True)
    return Verdict("recoverable", Tone.OK, "can be restored", can_restore=True)


def _judge_unusable(facts: BackupFacts) -> Verdict:
    if facts.state == "failed" and facts.damaged:
        return _damaged(facts)
    told = {
        "pending": "is not complete yet",
        "failed": "failed",
        "cancelled": "was cancelled",
        "interrupted": "was interrupted",
        "expiring": "is being deleted",
        "removed": "was deleted",
    }
    tone = Tone.BAD if facts.state in ("failed", "interrupted") else Tone.NEUTRAL
    return Verdict(facts.state, tone, told.get(facts.state, facts.state), 0)


def _damaged(facts: BackupFacts) -> Verdict:
    which = "its only copy" if facts.copies == 1 else "every copy"
    return Verdict("damaged", Tone.BAD, f"cannot be restored: {which} is damaged", 0)


def _of_copies(count: int, facts: BackupFacts) -> str:
    if facts.copies < 2:
        return "a copy is"
    return f"{count} of {facts.copies} copies {'is' if count == 1 else 'are'}"


def _ended(state: str) -> str:
    return "failed" if state == "failed" else f"was {state}"
