"""`covetbackup list`: list the catalog's backups."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.listing import ORDERS, RESTORABLE, BackupFilter, backups_in
from backups.management.lookups import find_database, find_repository
from backups.management.reporting import ReportingCommand
from backups.management.views import backup_json, backup_table
from backups.models import BackupState, Database
from covetbackup.core.cli.report import Report
from covetbackup.core.text import count_text
from covetbackup.paging import MOST, page_of


class Command(ReportingCommand):
    help = "List backups, newest first."

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default="", help="SERVER/DATABASE")
        parser.add_argument("--repo", default="", metavar="REPOSITORY")
        parser.add_argument("--state", default="", choices=["", *BackupState.values, RESTORABLE])
        parser.add_argument("--search", default="", help="words in names, labels, notes and tags")
        parser.add_argument("--since", default="", metavar="DATE")
        parser.add_argument("--until", default="", metavar="DATE")
        parser.add_argument("--order", default="newest", choices=list(ORDERS))
        parser.add_argument("--limit", type=int, default=50, help=f"at most {MOST}")
        parser.add_argument("--cursor", default="", help="what the page before gave as its next")

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
