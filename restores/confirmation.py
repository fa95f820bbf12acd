"""Shared parts of the pages that show checks and ask for a confirmation."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest

from covetbackup.command_line import command
from covetbackup.core.databases.checks import Check, is_refused
from covetbackup.core.databases.restore_target import Switch
from restores.forms.target import TargetForm
from restores.models import Restore
from restores.selection_text import options_of, text_of
from restores.target_server import features_of


def check_context(
    request: HttpRequest, form: TargetForm, checks: Sequence[Check]
) -> dict[str, Any]:
    """Return the template context of `form` and its checks, worst first."""
    restore = form.restore
    return {
        "backup": restore.backup,
        "restore": restore,
        "form": form,
        "checks": sorted(checks, key=lambda check: check.level.rank),
        "is_refused": is_refused(checks),
        "has_owners": sets_owners(restore),
        "owner_word": features_of(restore.target_server).owner_word,
        "switches": switches_of(restore),
        "restore_id": request.POST.get("restore") or uuid.uuid4(),
        "answers": _answers(form),
        "again": urlencode(_answers(form)),
        "selected": text_of(restore.request.selection) if restore.request.selection else "",
        "command": command_of(restore),
    }


def sets_owners(restore: Restore) -> bool:
    """Return whether objects with owners are created."""
    return features_of(restore.target_server).has_owners and restore.request.has_structure


def switches_of(restore: Restore) -> list[Switch]:
    """Return the further options that `restore` uses."""
    offered = features_of(restore.target_server).switches
    return [switch for switch in offered if switch.name in restore.request.options]


def _answers(form: TargetForm) -> list[tuple[str, str]]:
    """The form's answers as they came, to be sent on."""
    return [(name, value) for name in form.fields for value in form.data.getlist(name)]


def command_of(restore: Restore) -> str:
    """Return the shell command that requests the same restore."""
    request = restore.request
    name, target = request.database, f"{restore.target_server.name}/{request.database}"
    words: list[Any] = ["--as", name]
    if request.replace:
        words = ["--replace", target, "--confirm", name]
        words += ["--retention-days", restore.retention_days]
    elif request.into_existing:
        words = ["--into", target, "--confirm", name]
    elif not restore.is_beside_source or "/" in name:
        words = ["--as", target]
    words += options_of(request.selection)
    if sets_owners(restore):
        words += ["--owner", request.owner]
        words += [] if request.into_existing else ["--jobs", request.jobs]
        words += ["--create-roles"] if request.create_roles else []
        words += [switch.flag for switch in switches_of(restore)]
    return command("restore", restore.backup.label or restore.backup.pk, *words)
