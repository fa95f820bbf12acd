"""Who gets what answer from each address: one row for each, kept by whoever adds the address.

    Row(name of the address, attribute of World that gives its arguments, GET, POST, data of POST)

GET and POST are six codes, for anonymous, stranger, viewer, operator, admin and owner, or one code
that all get. Values in `data` may name the world: "{world.server.pk}".

The usual answers: 302 to sign in; 404 for what belongs to another team; 403 for too small a role;
405 for a method that the address does not take; 422 for a form with mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    what: str
    get: str
    post: str
    data: dict[str, str] = field(default_factory=dict)


SEEN_BY_ALL_MEMBERS = "302 404 200 200 200 200"
"""A page about one thing of the team."""

SEEN_BY_ALL_USERS = "302 200 200 200 200 200"
"""A list, in which everybody sees his own team's things only; or a page about oneself."""

DONE_BY_ALL_USERS = "302"
"""Anonymous visitors are sent to sign in, the others to the next page."""

WRONG_FOR_ALL_USERS = "302 422 422 422 422 422"
"""A form of one's own with a mistake in it."""

NOT_TAKEN = "302 405 405 405 405 405"
"""The address does not take this method. Anonymous visitors are not told even that."""

SEEN_BY_ADMINS = "302 404 403 403 200 200"
"""A page about a dangerous act on one thing of the team."""

REFUSED_TO_ADMINS = "302 404 403 403 422 422"
"""A dangerous act with a mistake in its form."""

OPEN = "200"

INVITATION = {"username": "new", "email": "new@example.com", "role": "viewer"}

TARGET = {
    "server": "{world.server.pk}",
    "name": "copy",
    "repository": "{world.repository.pk}",
    "owner": "keep",
    "jobs": "1",
}
"""Where a restore goes to. Nothing listens there: its checks fail."""

REPLACED = {**TARGET, "name": "{world.database.name}", "retention_days": "7", "typed": "wrong"}

BACK_UP = {
    "repositories": "{world.repository.pk}",
    "codec": "zstd:3",
    "cipher": "aes-256-gcm",
}
TYPED = {"name": "{world.database.name}"}

# fmt: off
ROWS: list[Row] = [
    # project
    Row("overview", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("overview-live", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("healthz", "", "200", "405"),
    Row("readyz", "", "200", "405"),
    Row("admin-sign-in", "", "302 403 403 403 403 403", "405"),
    Row("admin-password", "", DONE_BY_ALL_USERS, DONE_BY_ALL_USERS),
    # access
    Row("sign-in", "", "200 302 302 302 302 302", "422 302 302 302 302 302"),
    Row("sign-in-code", "", DONE_BY_ALL_USERS, DONE_BY_ALL_USERS),
    Row("sign-in-again", "", SEEN_BY_ALL_USERS, WRONG_FOR_ALL_USERS, {"password": "wrong"}),
    Row("sign-out", "", NOT_TAKEN, DONE_BY_ALL_USERS),
    Row("set-up", "set_up_token", "404", "404"),
    Row("password-reset", "", OPEN, "302", {"email": "nobody@example.com"}),
    Row("password-reset-sent", "", OPEN, "405"),
    Row("password-set", "wrong_link", OPEN, OPEN),
    Row("profile", "", SEEN_BY_ALL_USERS, DONE_BY_ALL_USERS, {"theme": "dark"}),
    Row("profile-email", "", SEEN_BY_ALL_USERS, "302", {"email": "new@example.com"}),
    Row("profile-password", "", SEEN_BY_ALL_USERS, WRONG_FOR_ALL_USERS, {"new_password1": "x"}),
    Row("profile-factor", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("profile-factor-begin", "", NOT_TAKEN, DONE_BY_ALL_USERS),
    Row("profile-factor-confirm", "", NOT_TAKEN, WRONG_FOR_ALL_USERS, {"code": "000000"}),
    Row("profile-factor-codes", "", NOT_TAKEN, DONE_BY_ALL_USERS),
    Row("profile-factor-end", "", NOT_TAKEN, WRONG_FOR_ALL_USERS, {"code": "000000"}),
    Row("team", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("team-invite", "team", "302 404 403 403 403 200", "302 404 403 403 403 200", INVITATION),
    Row("team-role", "membership", NOT_TAKEN, "302 404 403 403 403 302", {"role": "admin"}),
    Row("team-remove", "membership", "302 404 403 403 403 200", "302 404 403 403 403 302"),
    # audit
    Row("audit", "", "302 200 403 403 200 200", NOT_TAKEN),
    Row("audit-check", "", NOT_TAKEN, "302 302 403 403 302 302"),
    Row("audit-export", "", "302 200 403 403 403 200", NOT_TAKEN),
    # settings
    Row("settings", "", "302 200 403 403 200 200", NOT_TAKEN),
    Row("settings-quarantine", "", "302 200 403 403 403 200", "302 302 403 403 403 302"),
    # jobs
    Row("jobs", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("job", "job", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("job-live", "job", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("job-log", "job", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("job-cancel", "job", "302 404 403 200 200 200", "302 404 403 302 302 302"),
    # backups: servers and databases
    Row("servers", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("server", "server", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("server-add", "", "302 200 403 403 200 200", "302 422 403 403 422 422"),
    Row("server-edit", "server", "302 404 403 403 200 200", "302 404 403 403 422 422"),
    Row("server-test", "server", NOT_TAKEN, "302 404 403 200 200 200"),
    Row("server-discover", "server", NOT_TAKEN, "302 404 403 403 302 302"),
    Row("server-seen", "server", NOT_TAKEN, "302 404 403 302 302 302"),
    Row("databases", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("database", "database", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("database-backup", "database", NOT_TAKEN, "302 404 403 302 302 302", BACK_UP),
    Row("database-inclusion", "database", NOT_TAKEN, "302 404 403 403 302 302"),
    # backups: backups
    Row("backups", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("backup", "backup", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("backup-verify", "backup", NOT_TAKEN, "302 404 403 302 302 302", {"level": "exists"}),
    Row("backup-copy", "backup", NOT_TAKEN, "302 404 403 302 302 302"),
    Row("backup-delete", "backup", "302 404 403 403 200 200", "302 404 403 403 302 302", TYPED),
    Row("backup-pin", "backup", NOT_TAKEN, "302 404 403 302 302 302", {"pinned": "1"}),
    Row("backup-note", "backup", NOT_TAKEN, "302 404 403 302 302 302", {"note": "kept"}),
    # backups: repositories and keys
    Row("repositories", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("repository", "repository", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("repository-add", "", "302 200 403 403 200 200", "302 422 403 403 422 422"),
    Row("repository-test", "repository", NOT_TAKEN, "302 404 403 403 200 200"),
    Row("repository-default", "repository", NOT_TAKEN, "302 404 403 403 302 302"),
    Row("keys", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    # restores
    Row("restores", "", SEEN_BY_ALL_USERS, NOT_TAKEN),
    Row("restore-start", "backup", "302 404 403 200 200 200", NOT_TAKEN),
    Row("restore-select", "backup", "302 404 403 200 200 200", NOT_TAKEN),
    Row("restore-check", "backup", "302 404 403 200 200 200", "302 404 403 422 422 422", TARGET),
    Row("restore-into-existing", "backup", SEEN_BY_ADMINS, NOT_TAKEN),
    Row("restore-into-existing-check", "backup", REFUSED_TO_ADMINS, REFUSED_TO_ADMINS),
    Row("restore-replace", "backup", SEEN_BY_ADMINS, NOT_TAKEN),
    Row("restore-replace-check", "backup", SEEN_BY_ADMINS, REFUSED_TO_ADMINS, REPLACED),
    Row("restore", "restore", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("restore-result", "restore", SEEN_BY_ALL_MEMBERS, NOT_TAKEN),
    Row("restore-revert", "kept", SEEN_BY_ADMINS, "302 404 403 403 302 302", {"typed": "shop"}),
    Row("restore-delete-retained", "kept", SEEN_BY_ADMINS, REFUSED_TO_ADMINS, {"typed": "shop"}),
]
