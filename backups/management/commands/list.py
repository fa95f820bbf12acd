"""The command `covetbackup list`: list the catalog's backups."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.listing import ORDERS, RESTORABLE, BackupFilter, backups_in
from backups.management.lookups import find_database, find_repository
from backups.management.reporting import ReportingCommand
from backups.management.views import backup_json, backup_table
from backups.models import BackupState, Database
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.report import Report
from covetbackup.core.text import count_text
from covetbackup.paging import MOST, page_of


class Command(ReportingCommand):
    manual = Manual(
        "list backups, newest first",
        "Restored copies and all teams are included; filters can be combined.",
        "covetbackup list --database production/shop --state restorable",
    )

    def arguments(self, parser: CommandParser) -> None:
        filters = parser.add_argument_group("filters")
        filters.add_argument(
            "--database", default="", metavar="SERVER/NAME", help="only backups of this database"
        )
        filters.add_argument(
            "--repo", default="", metavar="REPOSITORY", help="only backups stored there"
        )
        states = [*BackupState.values, RESTORABLE]
        filters.add_argument(
            "--state", default="", choices=["", *states], metavar="STATE", help=", ".join(states)
        )
        filters.add_argument("--search", default="", help="words in names, labels, notes and tags")
        filters.add_argument("--since", default="", metavar="DATE", help="created on it or later")
        filters.add_argument("--until", default="", metavar="DATE", help="created on it or earlier")
        shown = parser.add_argument_group("order and pages")
        shown.add_argument(
            "--order", default="newest", choices=list(ORDERS), help="default: newest first"
        )
        shown.add_argument("--limit", type=int, default=50, help=f"at most {MOST}; default: 50")
        shown.add_argument("--cursor", default="", help="what the previous page gave as its next")

    def report(self, **options: Any) -> Report:
        database, repository = options["database"], options["repo"]
        chosen = BackupFilter.of(
            {
                "q": options["search"],
                "state": options["state"],
                "order": options["order"],
                "since": options["since"],
                "until": options["until"],
                "database": str(find_database(database).pk) if database else "",
                "repository": str(find_repository(repository).pk) if repository else "",
            }
        )
        rows = backups_in(Database.objects.all(), chosen)
        page = page_of(rows, ORDERS[chosen.order], options["cursor"], size=options["limit"])
        data = {"backups": [backup_json(row) for row in page.rows], "next": page.later}
        lines = [count_text(len(page.rows), "backup")]
        if page.later:
            lines.append(f"more with --cursor {page.later}")
        return Report(data, lines, table=backup_table(page.rows))
