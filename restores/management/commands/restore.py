"""`covetbackup restore BACKUP`: restore into a new database (`--as`), replace an existing one
(`--replace`) or add to it (`--into`).

With `--check` only the checks run; with `--wait` the result is reported."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from backups.management.lookups import BACKUP_HELP, find_backup, find_repository
from backups.management.reporting import ReportingCommand, error_of, status_of
from backups.management.waiting import wait_for
from backups.models import Backup, Repository, Server
from covetbackup.audit.log import actor_of
from covetbackup.core.cli.exits import OK, exit_status
from covetbackup.core.cli.printing import print_line
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.selection_args import selection_of
from covetbackup.core.databases.checks import Check, Level, is_refused
from covetbackup.core.errors import BadSetting, Conflict
from covetbackup.jobs.models import Job
from restores.models import KEEP_DAYS, Restore
from restores.plan import MOST_JOBS, Plan, best_repository, suggested_name, usual_jobs_of
from restores.preflight import preflight
from restores.requests import Confirmation, request_restore
from restores.result import aftermath, summary_of
from restores.targets.registry import all_switches, kind_of


class Command(ReportingCommand):
    help = (
        "Restore a backup into a new database. An existing database is replaced only with "
        "--replace, and changed only with --into."
    )

    def arguments(self, parser: CommandParser) -> None:
        parser.add_argument("backup", help=BACKUP_HELP)
        _places(parser)
        _selections(parser)
        parser.add_argument(
            "--repo", default="", metavar="REPOSITORY", help="the copy to read; default: the best"
        )
        parser.add_argument(
            "--owner", default="keep", help="keep, none, or the role or account that shall own all"
        )
        parser.add_argument(
            "--create-roles",
            action="store_true",
            help="roles or accounts missing there, from the backup",
        )
        parser.add_argument(
            "--jobs",
            type=int,
            help=f"parallel jobs, 1 to {MOST_JOBS} (not SQLite); default: 2 for a backup stored in "
            "parts, else 1",
        )
        for switch in all_switches():
            parser.add_argument(
                switch.flag, dest=switch.name, action="store_true", help=switch.label.lower()
            )
        parser.add_argument(
            "--check", action="store_true", help="only look whether it would work: status 0 or 7"
        )
        parser.add_argument("--wait", action="store_true", help="until the result is known")
        parser.add_argument("--quiet", action="store_true", help="no progress on standard error")

    def report(self, **options: Any) -> Report:
        plan = _plan(options)
        checks = preflight(plan)
        if options["check"]:
            return _checked(plan, checks)
        for check in checks:
            if check.level is not Level.PASS and not options["quiet"]:
                line = f"{check.level}: {check.title}: {check.detail} {check.fix}"
                print_line(line.rstrip(), self.stderr)
        confirmed = Confirmation(options["confirm"], not options["no_safety_backup"])
        restore = request_restore(plan, by=actor_of(None), checks=checks, confirmed=confirmed)
        job = restore.job
        if not options["wait"]:
            told = f"job {job.pk} will restore {plan}"
            return Report({"job": job.pk, "restore": str(restore.pk)}, [told])
        return _finished(wait_for(job, quiet=options["quiet"]), restore)


def _places(parser: CommandParser) -> None:
    place = parser.add_mutually_exclusive_group()
    place.add_argument(
        "--as",
        dest="name",
        default="",
        metavar="[SERVER/]NAME",
        help="a new database, on the server of the original unless another is named; default: a "
        "dated name",
    )
    place.add_argument(
        "--replace",
        default="",
        metavar="SERVER/NAME",
        help="an existing database: backed up first, replaced in one step, and retained under a "
        "dated name; needs --confirm",
    )
    place.add_argument(
        "--into",
        default="",
        metavar="SERVER/NAME",
        help="an existing database: backed up first; what --table and --schema select is added to "
        "it, all of it or nothing (MySQL, MariaDB: only with --data-only); needs --confirm",
    )
    parser.add_argument(
        "--confirm", default="", metavar="NAME", help="the name of the database to be changed"
    )
    parser.add_argument(
        "--no-safety-backup", action="store_true", help="do not back up first what is changed"
    )
    parser.add_argument(
        "--keep-days",
        type=int,
        default=KEEP_DAYS,
        help=f"days after which the replaced database is dropped; 0: never; default {KEEP_DAYS}",
    )


def _selections(parser: CommandParser) -> None:
    parser.add_argument(
        "--table", action="append", default=[], metavar="SCHEMA.TABLE", help="only this; repeat"
    )
    parser.add_argument(
        "--schema", action="append", default=[], help="only this, all of it; repeat"
    )
    parser.add_argument(
        "--schema-only", action="store_true", help="of what --table and --schema name, no rows"
    )
    parser.add_argument("--data-only", action="store_true", help="no more than rows; needs --into")
    parser.add_argument(
        "--rename-schema",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="what is restored of schema OLD comes as schema NEW (PostgreSQL); repeat",
    )


def _plan(options: dict[str, Any]) -> Plan:
    backup = find_backup(options["backup"])
    jobs = usual_jobs_of(backup) if options["jobs"] is None else options["jobs"]
    server, name = _target(backup, options)
    return Plan(
        backup=backup,
        repository=_repository(backup, options["repo"]),
        server=server,
        name=name or suggested_name(backup, server),
        owner=options["owner"],
        jobs=jobs,
        creates_roles=options["create_roles"],
        switches=tuple(switch.name for switch in all_switches() if options[switch.name]),
        replaces=bool(options["replace"]),
        keep_days=options["keep_days"],
        selection=selection_of(
            options["table"],
            options["schema"],
            with_data=not options["schema_only"],
            with_structure=not options["data_only"],
            renames=options["rename_schema"],
        ),
        adds=bool(options["into"]),
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


def _checked(plan: Plan, checks: list[Check]) -> Report:
    refused = is_refused(checks)
    lines = [
        f"{check.level:8} {check.title}: {check.detail} {check.fix}".rstrip() for check in checks
    ]
    verdict = "cannot be restored" if refused else "can be restored"
    data = {"target": f"{plan.server}/{plan.name}", "checks": [one.to_json() for one in checks]}
    status = exit_status(Conflict("")) if refused else OK
    return Report(data, [*lines, f"{plan}: {verdict}"], status)


def _finished(job: Job, restore: Restore) -> Report:
    restore.refresh_from_db()
    server, name = restore.target_server, restore.target_name
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
        return Report(data, [f"{job.state}: {job.error}", *hint, aftermath(restore)], status or 1)
    data["connect"] = kind_of(server).command(server, name)
    notes = [f"note: {problem}" for problem in summary.problems]
    if summary.retained_as:
        notes.append(f"the replaced database is retained as {server}/{summary.retained_as}")
    return Report(data, [f"{server}/{name}: {summary.sentence}", *notes, data["connect"]])
