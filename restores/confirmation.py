"""What the pages share that show checks and ask for a confirmation."""

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
from restores.plan import Plan
from restores.selection_codec import options_of, text_of
from restores.target_server import features_of


def check_context(
    request: HttpRequest, form: TargetForm, checks: Sequence[Check]
) -> dict[str, Any]:
    plan = form.plan
    return {
        "backup": plan.backup,
        "plan": plan,
        "form": form,
        "checks": sorted(checks, key=lambda check: check.level.rank),
        "is_refused": is_refused(checks),
        "has_owners": _is_owned(plan),
        "owner_word": features_of(plan.server).owner_word,
        "switches": chosen_of(plan),
        "restore_id": request.POST.get("restore") or uuid.uuid4(),
        "answers": _answers(form),
        "again": urlencode(_answers(form)),
        "selected": text_of(plan.selection) if plan.selection else "",
        "command": command_of(plan),
    }


def _is_owned(plan: Plan) -> bool:
    """Whether anything is made that belongs to somebody."""
    return features_of(plan.server).has_owners and plan.has_structure


def chosen_of(plan: Plan) -> list[Switch]:
    """Return the further choices that were made."""
    return [one for one in features_of(plan.server).switches if one.name in plan.switches]


def _answers(form: TargetForm) -> list[tuple[str, str]]:
    """The form's answers as they came, to be sent on."""
    return [(name, value) for name in form.fields for value in form.data.getlist(name)]


def command_of(plan: Plan) -> str:
    """The same from the command line."""
    words: list[Any] = ["--as", plan.name]
    if plan.replaces:
        words = ["--replace", f"{plan.server.name}/{plan.name}", "--confirm", plan.name]
        words += ["--keep-days", plan.keep_days]
    elif plan.adds:
        words = ["--into", f"{plan.server.name}/{plan.name}", "--confirm", plan.name]
    elif not plan.is_beside_source or "/" in plan.name:
        words = ["--as", f"{plan.server.name}/{plan.name}"]
    words += options_of(plan.selection)
    if _is_owned(plan):
        words += ["--owner", plan.owner]
        words += [] if plan.adds else ["--jobs", plan.jobs]
        words += ["--create-roles"] if plan.creates_roles else []
        words += [switch.flag for switch in chosen_of(plan)]
    return command("restore", plan.backup.label or plan.backup.pk, *words)
