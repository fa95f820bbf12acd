"""The four roles and what each may do. Pure values: the pages and the checks read this table."""

from __future__ import annotations

from enum import StrEnum


class Permission(StrEnum):
    """One kind of act. Downloading is apart from viewing because it exports data."""

    VIEW = "view"
    RUN_BACKUP = "run_backup"
    CANCEL_JOB = "cancel_job"
    VERIFY = "verify"
    TEST_RESTORE = "test_restore"
    RESTORE_NEW = "restore_new"
    RESTORE_OVERWRITE = "restore_overwrite"
    DOWNLOAD_BACKUP = "download_backup"
    DELETE_BACKUP = "delete_backup"
    CHANGE_DATABASE = "change_database"
    CHANGE_POLICY = "change_policy"
    CHANGE_REPOSITORY = "change_repository"
    ROTATE_KEY = "rotate_key"
    VIEW_AUDIT = "view_audit"
    VIEW_SETTINGS = "view_settings"
    MANAGE_TEAM = "manage_team"
    CHANGE_SETTINGS = "change_settings"
    EXPORT_KEY = "export_key"
    EXPORT_AUDIT = "export_audit"


TITLES: dict[Permission, str] = {
    Permission.VIEW: "See servers, databases, backups and jobs",
    Permission.RUN_BACKUP: "Back up now",
    Permission.CANCEL_JOB: "Cancel a job",
    Permission.VERIFY: "Verify a backup",
    Permission.TEST_RESTORE: "Test a restore",
    Permission.RESTORE_NEW: "Restore into a new database",
    Permission.RESTORE_OVERWRITE: "Replace a database, or restore into an existing one",
    Permission.DOWNLOAD_BACKUP: "Restore a backup to a server of another team",
    Permission.DELETE_BACKUP: "Delete a backup",
    Permission.CHANGE_DATABASE: "Add and change servers and databases",
    Permission.CHANGE_POLICY: "Change schedules and retention policies",
    Permission.CHANGE_REPOSITORY: "Add and change repositories",
    Permission.ROTATE_KEY: "Make new encryption keys",
    Permission.VIEW_AUDIT: "See the audit log",
    Permission.VIEW_SETTINGS: "See settings, workers and what is wrong with them",
    Permission.MANAGE_TEAM: "Invite, remove and change roles",
    Permission.CHANGE_SETTINGS: "End the quarantine of a copied catalog",
    Permission.EXPORT_KEY: "Export encryption keys",
    Permission.EXPORT_AUDIT: "Export the audit log",
}


NOT_USED_YET = frozenset(
    {
        Permission.TEST_RESTORE,
        Permission.CHANGE_POLICY,
        Permission.ROTATE_KEY,
        Permission.EXPORT_KEY,
    }
)
"""Rights that no page asks for: they are not shown."""


class Role(StrEnum):
    """Each role may do all that the one before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    OWNER = "owner"


_OWN: dict[Role, tuple[Permission, ...]] = {
    Role.VIEWER: (Permission.VIEW,),
    Role.OPERATOR: (
        Permission.RUN_BACKUP,
        Permission.CANCEL_JOB,
        Permission.VERIFY,
        Permission.TEST_RESTORE,
        Permission.RESTORE_NEW,
    ),
    Role.ADMIN: (
        Permission.RESTORE_OVERWRITE,
        Permission.DOWNLOAD_BACKUP,
        Permission.DELETE_BACKUP,
        Permission.CHANGE_DATABASE,
        Permission.CHANGE_POLICY,
        Permission.CHANGE_REPOSITORY,
        Permission.ROTATE_KEY,
        Permission.VIEW_AUDIT,
        Permission.VIEW_SETTINGS,
    ),
    Role.OWNER: (
        Permission.MANAGE_TEAM,
        Permission.CHANGE_SETTINGS,
        Permission.EXPORT_KEY,
        Permission.EXPORT_AUDIT,
    ),
}


def _up_to(role: Role) -> frozenset[Permission]:
    roles = list(Role)
    return frozenset(p for one in roles[: roles.index(role) + 1] for p in _OWN[one])


PERMISSIONS: dict[Role, frozenset[Permission]] = {role: _up_to(role) for role in Role}


def roles_with(permission: Permission) -> list[Role]:
    """Return the roles that have `permission`, least first, to be named on a disabled button."""
    return [role for role in Role if permission in PERMISSIONS[role]]
