"""The list of what a backup holds, to choose from. It keeps nothing: all is in the address."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from backups.models import Backup
from backups.views.lookup import command
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from restores.contents import table_bytes
from restores.forms import STRUCTURE, PickForm, TargetForm
from restores.picking import MOST_PICKED, Item, as_selection, items_of, page_of, picked_of
from restores.selecting import options_of
from restores.targets.registry import kind_of
from restores.views import restorable_by

_OWN = ("what", "pick")


@require_safe
@requires(Permission.RESTORE_NEW)
def restore_choose(request: HttpRequest, pk: UUID) -> HttpResponse:
    backup = restorable_by(request, pk)
    context = {"backup": backup, "form": PickForm(request.GET), **_lists(backup, request.GET)}
    return render(request, "restores/choose.html", context)


def _lists(backup: Backup, given: QueryDict) -> dict[str, Any]:
    items = items_of(backup) if TargetForm.can_select(backup) else {}
    picked = picked_of(items, given.getlist("pick"))[:MOST_PICKED]
    page = page_of(items, picked, given.get("find", ""), _number(given.get("page", "")))
    sizes = table_bytes(backup) if items else {}
    return {
        "picked": _sized(picked, sizes),
        "page": page,
        "rows": _sized(page.items, sizes),
        "total": len(items),
        "selects": kind_of(backup.database.server).selects,
        "most": MOST_PICKED,
        "carried": [(n, given[n]) for n in TargetForm.base_fields if n in given and n not in _OWN],
        "command": command("restore", backup.label or backup.pk, *_options(picked, given)),
    }


def _options(picked: list[Item], given: QueryDict) -> list[str]:
    with_data = given.get("what") != STRUCTURE
    return options_of(as_selection(picked, with_data=with_data)) if picked else []


def _sized(items: Any, sizes: dict[str, int]) -> list[tuple[Item, int | None]]:
    return [(item, sizes.get(item.name) if not item.is_schema else None) for item in items]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 1
