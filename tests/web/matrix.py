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
"""A list, in which everybody sees his own team's things only."""

# fmt: off
ROWS: list[Row] = [
    # project
    Row("overview", "", SEEN_BY_ALL_USERS, "405"),
    Row("healthz", "", "200", "405"),
    Row("readyz", "", "200", "405"),
    # access
    # audit
    # jobs
    # backups: servers and databases
    # backups: backups
    # backups: repositories and keys
    # restores
]
