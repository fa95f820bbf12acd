"""Titles of the actions in the audit log. Entries store the codes, which never change."""

from __future__ import annotations

TITLES = {
    "access.denied": "Access denied",
    "admin.add": "Record added in the admin site",
    "admin.change": "Record changed in the admin site",
    "admin.remove": "Record deleted in the admin site",
    "audit.check": "Audit log verified",
    "audit.export": "Audit log exported",
    "backup.copy": "Backup copy requested",
    "backup.delete": "Backup deletion requested",
    "backup.note": "Backup note changed",
    "backup.pin": "Backup pinned",
    "backup.run": "Backup requested",
    "backup.unpin": "Backup unpinned",
    "backup.verify": "Backup verification requested",
    "catalog.quarantine": "Catalog quarantined",
    "catalog.successor": "Catalog quarantine ended",
    "database.inclusion": "Database inclusion changed",
    "installation.set-up": "Installation set up",
    "job.cancel": "Job cancellation requested",
    "kept.drop": "Deletion of retained database",
    "kept.drop.request": "Deletion of retained database requested",
    "kept.swap_back": "Revert of replaced database",
    "kept.swap_back.request": "Revert of replaced database requested",
    "key.rotate": "Working key rotated",
    "member.invite": "Member invited",
    "member.remove": "Member removed",
    "member.role": "Member role changed",
    "repository.add": "Repository added",
    "repository.cleanup": "Repository cleaned up",
    "repository.default": "Default repository changed",
    "repository.rebuild": "Catalog rebuilt from repository",
    "repository.test": "Repository test",
    "restore.done": "Restore completed",
    "restore.failed": "Restore failed",
    "restore.request": "Restore requested",
    "server.add": "Server added",
    "server.add-untested": "Server added without test",
    "server.cleanup": "Server cleaned up",
    "server.discover": "Database discovery",
    "server.edit": "Server changed",
    "server.edit-untested": "Server changed without test",
    "server.seen": "New databases reviewed",
    "server.test": "Server connection test",
    "session.begin": "Signed in",
    "session.code-refused": "Authentication code rejected",
    "session.confirm": "Password confirmed",
    "session.end": "Signed out",
    "session.refused": "Sign-in rejected",
    "set-up.done": "First owner created",
    "user.add-factor": "Two-factor authentication enabled",
    "user.change-email": "Email address changed",
    "user.change-password": "Password changed",
    "user.new-recovery-codes": "Recovery codes replaced",
    "user.remove-factor": "Two-factor authentication disabled",
    "user.set-password": "Password reset",
}
"""The title of each action code, read beside an entry's outcome: "Repository test", "Failed"."""


def title_of(action: str) -> str:
    """Return the title of an action code; the code itself for one of another version."""
    return TITLES.get(action, action)


def actions_titled(text: str) -> list[str]:
    """Return the codes of the actions whose titles contain `text`, in any case of letters."""
    wanted = text.casefold()
    return [action for action, title in TITLES.items() if wanted in title.casefold()]
