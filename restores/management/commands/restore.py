"""The command `covetbackup restore BACKUP`: restore into a new or an existing database.

`--as` names a new database, `--replace` one to replace, `--into` one to add to. With `--check` only
the checks run; with `--wait` the result is reported.
"""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import add_backup_argument, backup_of, find_repository
from backups.management.reporting import ReportingCommand, error_of, status_of
from backups.management.waiting import wait_for
from backups.models import Backup, Repository, Server
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.checks import checks_report
from covetbackup.core.cli.manual import Manual
from covetbackup.core.cli.printing import print_line
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.selection_args import add_further_options, add_selection, selection_of
from covetbackup.core.databases.checks import Level
from covetbackup.core.databases.restore import RestoreRequest
from covetbackup.core.errors import BadSetting
from covetbackup.jobs.models import Job
from restores.models import RETENTION_DAYS, Restore
from restores.preflight import preflight
from restores.requests import Confirmation, request_restore
from restores.result import explanation, summary_of
from restores.target_server import connect_command
from restores.targets import MOST_JOBS, best_repository, default_jobs_of, suggested_name


class Command(ReportingCommand):
    manual = Manual(
        "restore a backup into a new or an existing database",
        """--as makes a new database, which appears only once it is complete and was compared with
        the manifest. --replace builds it beside the existing database and swaps the two in one
        step; the replaced database is retained under a dated name. --into adds the selected tables
        to an existing database in one transaction. Both back up the existing database first.""",
        "covetbackup restore latest --database production/shop --as shop_restored --wait",
    )

    def arguments(self, parser: CommandParser) -> None:
        add_backup_argument(parser)
        _target_arguments(parser)
        _selection_arguments(parser)
        _option_arguments(parser)
        parser.add_argument(
            "--check", action="store_true", help="run the checks only; exit status 0 or 7"
        )
        parser.add_argument("--wait", action="store_true", help="until the result is known")

    def report(self, **options: Any) -> Report:
        restore = _restore(options)
        checks = preflight(restore)
        if options["check"]:
            return checks_report(checks, restore.summary, {"target": restore.target})
        for check in checks:
            if check.level is not Level.PASS and not options["quiet"]:
                line = f"{check.level}: {check.title}: {check.detail} {check.fix}"
                print_line(line.rstrip(), self.stderr)
        confirmed = Confirmation(options["confirm"], not options["no_safety_backup"])
        restore = request_restore(restore, by=actor_of(None), checks=checks, confirmed=confirmed)
        job = restore.job
        if not options["wait"]:
            told = f"job {job.pk} will restore {restore.summary}"
            return Report({"job": job.pk, "restore": str(restore.pk)}, [told])
        return _finished(wait_for(job, quiet=options["quiet"]), restore)


def _target_arguments(parser: CommandParser) -> None:
    group = parser.add_argument_group("target, at most one; default: a new database, dated name")
    target = group.add_mutually_exclusive_group()
    target.add_argument(
        "--as",
        dest="name",
        default="",
        metavar="NAME",
        help="a new database on the server of the original; SERVER/NAME for another server",
    )
    target.add_argument(
        "--replace",
        default="",
        metavar="SERVER/NAME",
        help="an existing database: replaced in one step, and retained under a dated name; needs "
        "--confirm",
    )
    target.add_argument(
        "--into",
        default="",
        metavar="SERVER/NAME",
        help="an existing database: the selected tables are added to it, all of them or none "
        "(MySQL, MariaDB: only with --data-only); needs --confirm",
    )
    existing = parser.add_argument_group("with --replace and --into")
    existing.add_argument(
        "--confirm", default="", metavar="NAME", help="the name of the existing database"
    )
    existing.add_argument(
        "--no-safety-backup", action="store_true", help="do not back the existing database up first"
    )
    existing.add_argument(
        "--retention-days",
        type=int,
        default=RETENTION_DAYS,
        metavar="DAYS",
        help="how long a replaced database is retained; 0: until it is deleted; "
        f"default: {RETENTION_DAYS}",
    )


def _selection_arguments(parser: CommandParser) -> None:
    add_selection(parser).add_argument(
        "--data-only", action="store_true", help="rows without definitions; needs --into"
    )


def _option_arguments(parser: CommandParser) -> None:
    options = parser.add_argument_group("restore options")
    options.add_argument(
        "--repo", default="", metavar="REPOSITORY", help="the copy to read; default: the best"
    )
    options.add_argument(
        "--owner", default="keep", help="keep, none, or a role that owns all; not SQLite"
    )
    options.add_argument(
        "--create-roles",
        action="store_true",
        help="create missing roles (MySQL, MariaDB: accounts) from the backup; not SQLite",
    )
    options.add_argument(
        "--jobs",
        type=int,
        help=f"connections that load at once, 1 to {MOST_JOBS}; default: 2 for a backup stored in "
        "parts, else 1; not SQLite",
    )
    add_further_options(options)


def _restore(options: dict[str, Any]) -> Restore:
    backup = backup_of(options)
    server, name = _target(backup, options)
    request = RestoreRequest(
        database=name or suggested_name(backup, server),
        selection=selection_of(
            options["table"],
            options["schema"],
            with_data=not options["schema_only"],
            with_structure=not options["data_only"],
            renames=options["rename_schema"],
        ),
        into_existing=bool(options["into"]),
        replace=bool(options["replace"]),
        owner=options["owner"],
        create_roles=options["create_roles"],
        jobs=default_jobs_of(backup) if options["jobs"] is None else options["jobs"],
        options=tuple(dict.fromkeys(options["options"])),
    )
    return Restore(
        backup=backup,
        repository=_repository(backup, options["repo"]),
        target_server=server,
        request=request,
        retention_days=options["retention_days"],
    )


def _target(backup: Backup, options: dict[str, Any]) -> tuple[Server, str]:
    existing = options["replace"] or options["into"]
    target = existing or options["name"]
    if not existing and "/" not in target:
        return backup.database.server, target
    server, slash, name = target.partition("/")
    found = Server.objects.filter(name=server).select_related("team")
    own = found.filter(team=backup.database.server.team)
    rows = list((own if own.exists() else found)[:2])
    if not slash or not name:
        raise BadSetting(f"{target[:200]!r} names no server and database", "write SERVER/NAME")
    if len(rows) != 1:
        many = "several servers are" if rows else "no server is"
        raise BadSetting(f"{many} called {server[:100]!r}", "the web page Servers lists them")
    return rows[0], name


def _repository(backup: Backup, name: str) -> Repository:
    if not name:
        return best_repository(backup)
    found = find_repository(name, backup.database.server.team)
    if not backup.copies.filter(repository=found).exists():
        raise BadSetting(f"{found} holds no copy of {backup}")
    return found


def _finished(job: Job, restore: Restore) -> Report:
    restore.refresh_from_db()
    server, name = restore.target_server, restore.request.database
    data: dict[str, Any] = {
        "job": job.pk,
        "job_state": job.state,
        "restore": str(restore.pk),
        "target": f"{server}/{name}",
        **restore.result,
    }
    status = status_of(job)
    summary = summary_of(restore)
    if status or summary is None:
        data["error"] = error_of(job)
        hint = [f"hint: {job.hint}"] if job.hint else []
        return Report(data, [f"{job.state}: {job.error}", *hint, explanation(restore)], status or 1)
    data["connect"] = connect_command(server, name)
    notes = [f"note: {problem}" for problem in summary.problems]
    if summary.retained_as:
        notes.append(f"the replaced database is retained as {server}/{summary.retained_as}")
    return Report(data, [f"{server}/{name}: {summary.sentence}", *notes, data["connect"]])
