"""Every page that reads the catalog, with each filter, order and search of the lists, and pages
from the middle and the end of them; of the admin site too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import QuerySet
from django.urls import reverse

from backups.listing import ORDERS, BackupFilter, backups_of
from backups.models import Backup, Database, Repository, Server
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.audit import listing as audit
from covetbackup.audit.listing import entries_seen_by
from covetbackup.jobs import listing as jobs
from covetbackup.jobs.listing import JobFilter, jobs_of
from covetbackup.jobs.models import Job, JobState
from covetbackup.paging import PAGE_SIZE, page_of
from restores.models import Restore

NOWHERE = "zzzzqqqq"
"""A word that is in no row."""


def addresses(user: User) -> dict[str, str]:
    """By the name that a report shows; of a catalog that `make_fleet` made."""
    return dict([*_plain(), *_details(), *_searches(user), *_middles(user), *_admin()])


def _plain() -> Iterator[tuple[str, str]]:
    for name in (
        "overview", "overview-live", "servers", "server-add", "databases", "backups",
        "repositories", "repository-add", "keys", "restores", "jobs", "team", "audit", "profile",
    ):  # fmt: skip
        yield name, reverse(name)


def _details() -> Iterator[tuple[str, str]]:
    backup = Backup.objects.filter(state="available").order_by("-created_at")[5]
    for name, of in (
        ("server", Server), ("server-edit", Server), ("database", Database),
        ("repository", Repository), ("restore", Restore),
    ):  # fmt: skip
        yield name, reverse(name, args=[of.objects.latest("pk").pk])
    for name in ("backup", "backup-delete", "restore-start", "restore-select"):
        yield name, reverse(name, args=[backup.pk])
    yield "job", reverse("job", args=[backup.job_id])
    running = Job.objects.get(state=JobState.RUNNING)
    poll = reverse("job-live", args=[running.pk])
    yield "job, poll without news", f"{poll}?v={running.version}"


def _searches(user: User) -> Iterator[tuple[str, str]]:
    backup = Backup.objects.filter(state="available").order_by("created_at")[5]
    server = backup.database.server_id
    yield from _listed(
        "backups",
        {"q": backup.database.name}, {"q": NOWHERE}, {"q": "s"}, {"q": "upgrade"},
        {"q": f"{backup.database.name} upgrade"}, {"q": f"s {NOWHERE}"},
        {"state": "failed"}, {"state": "pending"}, {"state": "removed"}, {"state": "restorable"},
        {"database": backup.database_id}, {"server": server}, {"server": 10**9},
        {"repository": backup.copies.first().repository_id}, {"repository": 10**9},
        {"since": "2020-01-01", "until": f"{backup.created_at:%Y-%m-%d}"}, {"until": "2000-01-01"},
        {"tag": "upgrade"}, {"tag": NOWHERE}, {"pinned": 1}, {"unverified": 1},
        {"q": "shop0007", "state": "failed", "order": "largest"},
        {"q": NOWHERE, "order": "smallest"}, {"state": "pending", "order": "largest"},
        *({"order": order} for order in ORDERS),
    )  # fmt: skip
    for what, word in (("label", backup.label), ("id", str(backup.pk)), ("id", str(backup.pk)[:8])):
        yield f"backups by {what} of {len(word)}", f"{reverse('backups')}?{urlencode({'q': word})}"
    yield from _listed(
        "databases", {"q": "shop0007"}, {"q": NOWHERE}, {"q": "s"}, {"server": server},
        *({"state": state} for state in ("new", "excluded", "gone", "all")),
    )  # fmt: skip
    yield from _listed("jobs", *({"state": state} for state in ("active", "failed", "queued")))
    yield from _listed(
        "audit", {"actor": "system"}, {"actor": NOWHERE}, {"action": "backup"},
        {"action": NOWHERE}, {"subject": "shop0007"}, {"subject": NOWHERE},
        {"outcome": "denied"}, {"since": "2020-01-01"}, {"until": "2000-01-01"},
    )  # fmt: skip


def _middles(user: User) -> Iterator[tuple[str, str]]:
    chosen, entries = JobFilter(), entries_seen_by(user, Permission.VIEW_AUDIT)
    for name in ("newest", "largest"):
        rows = backups_of(user, BackupFilter(order=name))
        yield from _deep("backups", rows, ORDERS[name], order=name)
    yield from _deep("jobs", jobs_of(user, chosen), jobs.ORDER)
    yield from _deep("audit", entries, audit.ORDER)


def _deep(
    page: str, rows: QuerySet[Any], fields: Sequence[str], **query: str
) -> Iterator[tuple[str, str]]:
    """A page from the middle of the list and its last one, and those before them."""
    field = fields[0].lstrip("-")
    values = rows.order_by(*fields).values_list(field, flat=True)
    count = values.count()
    for name, place in (("middle", count // 2), ("last", count - PAGE_SIZE - 10)):
        begin = page_of(rows.filter(**{f"{field}__lte": values[place]}), fields, size=5).later
        before = page_of(rows, fields, begin).earlier
        for title, cursor in ((name, begin), (f"before {name}", before)):
            address = f"{reverse(page)}?{urlencode({**query, 'cursor': cursor})}"
            yield " ".join((page, title, *query.values())), address


def _admin() -> Iterator[tuple[str, str]]:
    yield "admin", reverse("admin:index")
    for model, site in admin.site._registry.items():
        place = f"{model._meta.app_label}_{model._meta.model_name}"
        changelist = reverse(f"admin:{place}_changelist")
        yield f"admin {place}", changelist
        if site.search_fields:
            yield f"admin {place} ?q={NOWHERE}", f"{changelist}?q={NOWHERE}"
            yield f"admin {place} ?q=s", f"{changelist}?q=s"
        for name in site.sortable_by or ():
            number = list(site.list_display).index(name) + 1
            yield f"admin {place} by {name}", f"{changelist}?o=-{number}"
        row = model._default_manager.last()
        if row is not None:
            yield f"admin {place}, one", reverse(f"admin:{place}_change", args=[row.pk])


def _listed(page: str, *queries: dict[str, object]) -> Iterator[tuple[str, str]]:
    for query in queries:
        yield f"{page} ?{urlencode(query)[:60]}", f"{reverse(page)}?{urlencode(query)}"
