"""The catalog's tables. An index of what the repositories hold, rebuilt from them if lost."""

from __future__ import annotations

from backups.models.backup import Backup, BackupCopy, BackupState, CopyState, Hold
from backups.models.installation import Installation
from backups.models.policy import RetentionPolicy, Schedule
from backups.models.repository import EncryptionKey, Repository
from backups.models.source import Database, DatabaseState, Server

__all__ = [
    "Backup",
    "BackupCopy",
    "BackupState",
    "CopyState",
    "Database",
    "DatabaseState",
    "EncryptionKey",
    "Hold",
    "Installation",
    "Repository",
    "RetentionPolicy",
    "Schedule",
    "Server",
]
