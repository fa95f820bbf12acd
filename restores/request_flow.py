"""Shared steps of the pages from a backup to a restore: the backup, the form, the request."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from backups.models import Backup, Server
from backups.views.shared import look_up, signed_in
from covetbackup.access.decorators import require
from covetbackup.access.models import User
from covetbackup.access.roles import Permission
from covetbackup.core.databases.checks import Check, is_refused
from covetbackup.core.errors import CovetError
from restores.forms.target import TargetForm
from restores.models import Restore
from restores.preflight import preflight
from restores.requests import Confirmation, request_restore, requested_before
from restores.targets import replaceable_for, targets_for

_Form = TypeVar("_Form", bound=TargetForm)


def restorable_by(request: HttpRequest, pk: UUID) -> Backup:
    """Return the backup.

    The answer is 404 if the user may not see it, 403 if there is no server they may restore to.
    """
    return _seen(request, pk, targets_for, Permission.RESTORE_NEW)


def changing_by(request: HttpRequest, pk: UUID) -> Backup:
    """Return the backup, as `restorable_by`.

    The answer is 403 if there is no server on which the user may change existing databases.
    """
    return _seen(request, pk, replaceable_for, Permission.RESTORE_OVERWRITE)


def _seen(
    request: HttpRequest,
    pk: UUID,
    servers: Callable[[User, Backup], QuerySet[Server]],
    permission: Permission,
) -> Backup:
    backup = look_up(request, Backup, pk, Permission.VIEW)
    if not servers(signed_in(request), backup).exists():
        require(request, permission, backup.database.server.team)
    return backup


def answered(request: HttpRequest, backup: Backup, form: type[_Form]) -> _Form:
    """Return the form, bound to the POST or the query string."""
    given = request.POST if request.method == "POST" else request.GET
    return form(given, backup=backup, user=signed_in(request))


def ask(
    request: HttpRequest,
    restore: Restore,
    *,
    page: Callable[[list[Check]], HttpResponse],
    add_error: Callable[[CovetError], object],
    confirmed: Confirmation | None = None,
) -> HttpResponse:
    """Request `restore`, unless the same form has done so, and redirect to its page.

    If something is against it, `add_error` gets the error and `page` shows the checks.
    """
    restore.pk = _id_in(request.POST.get("restore", ""))
    found = requested_before(restore)
    if found is not None:
        return redirect("restore", found.pk)
    checks = preflight(restore)
    if is_refused(checks):
        return page(checks)
    try:
        found = request_restore(restore, by=request, checks=checks, confirmed=confirmed)
    except CovetError as error:
        add_error(error)
        return page(checks)
    return redirect("restore", found.pk)


def _id_in(text: str) -> UUID:
    """Return the id that the form was given; a form without one was never sent before."""
    try:
        return UUID(text)
    except ValueError:
        return uuid.uuid4()
