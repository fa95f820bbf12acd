"""The settings page: effective values and problems. Settings are changed in the environment."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil
from django.conf import settings
from django.core.checks import ERROR, run_checks
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from backups import secrets
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.system_status import components, disk, programs, workers
from covetbackup.system_status.issue import Issue


@require_safe
@requires(Permission.VIEW_SETTINGS)
def settings_page(request: HttpRequest) -> HttpResponse:
    """Show the settings and the status."""
    return render(request, "system_status/settings.html", condition(timezone.now()))


def condition(now: datetime) -> dict[str, Any]:
    """Return the template context of the page."""
    found, program_troubles = programs.programs_here()
    folders, nodes = disk.folders(), workers.workers(now)
    issues = [
        *_checks(),
        *_secrets(),
        *workers.worker_issues(nodes),
        *disk.folder_issues(folders),
        *program_troubles,
    ]
    return {
        "issues": sorted(issues, key=lambda issue: issue.tone),
        "programs": found,
        "folders": folders,
        "workers": nodes,
        "catalog": disk.catalog(),
        "broker": disk.broker(),
        "is_locked": secrets.is_locked(),
        "key_file": settings.CATALOG_KEYS_FILE,
        "variables": settings.ENV.variables(),
        "ages": _ages(),
        "zone": settings.TIME_ZONE,
        "site": settings.SITE_URL,
        "web": _web_process(),
        "version": components.version(),
        "parts": components.components(),
    }


def _checks() -> Iterator[Issue]:
    for message in run_checks():
        tone = "bad" if message.level >= ERROR else "warn"
        yield Issue(tone, message.msg, message.hint or "", message.id or "")


def _secrets() -> Iterator[Issue]:
    if secrets.is_locked():
        text = f"the secrets are locked: {settings.CATALOG_KEYS_FILE} is not this catalog's key"
        yield Issue("bad", text, "put the right key file back; check_secrets says which it is")


def _ages() -> list[tuple[str, timedelta]]:
    return [
        ("Sessions end after", timedelta(seconds=settings.SESSION_COOKIE_AGE)),
        ("Idle ones after", timedelta(seconds=settings.SESSION_IDLE_SECONDS)),
        (
            "Password asked again after",
            timedelta(seconds=settings.REAUTHENTICATION_SECONDS),
        ),
    ]


def _web_process() -> dict[str, Any]:
    started = psutil.Process().create_time()
    return {
        "host": platform.node(),
        "pid": os.getpid(),
        "started_at": datetime.fromtimestamp(started, UTC),
    }
