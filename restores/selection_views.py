"""The list of what a backup holds, to choose from. It keeps nothing: all is in the address."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.views.decorators.http import require_safe

from backups.models import Backup
from backups.views.shared import signed_in
from covetbackup.access.decorators import requires
from covetbackup.access.roles import Permission
from covetbackup.command_line import command
from restores.forms.existing import IntoExistingForm
from restores.forms.selection import PickForm, RestoreScope
from restores.forms.target import RENAMED, TargetForm
from restores.request_flow import restorable_by
from restores.selection_options import (
    MOST_SELECTED,
    SelectableItem,
    as_selection,
    items_of,
    page_of,
    selected_items,
    sizes_of,
)
from restores.selection_text import options_of
from restores.table_sizes import table_bytes
from restores.target_server import features_of
from restores.targets import replaceable_for

_CARRIED = {*TargetForm.base_fields, *IntoExistingForm.base_fields} - {"what", "pick"}


@require_safe
@requires(Permission.RESTORE_NEW)
def restore_select(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Select schemas and tables to restore."""
    backup = restorable_by(request, pk)
    may_restore_into_existing = (
        IntoExistingForm.can_select(backup) and replaceable_for(signed_in(request), backup).exists()
    )
    is_into_existing = may_restore_into_existing and "into" in request.GET
    if is_into_existing:
        parts = IntoExistingForm.offered(features_of(backup.database.server))
    else:
        parts = [
            RestoreScope.SOME,
            RestoreScope.STRUCTURE,
            *([RestoreScope.DATA] if may_restore_into_existing else []),
        ]
    form = PickForm(request.GET, parts=parts)
    context = {"backup": backup, "form": form, **_lists(backup, request.GET, form.part)}
    context["next"] = "restore-into-existing" if is_into_existing else "restore-start"
    return render(request, "restores/select.html", context)


def _lists(backup: Backup, given: QueryDict, part: RestoreScope) -> dict[str, Any]:
    items = items_of(backup) if TargetForm.can_select(backup) else {}
    selected = selected_items(items, given.getlist("pick"))[:MOST_SELECTED]
    page = page_of(items, selected, given.get("find", ""), _number(given.get("page", "")))
    sizes = sizes_of(items, table_bytes(backup)) if items else {}
    return {
        "selected": _sized(selected, sizes),
        "page": page,
        "rows": _sized(page.items, sizes),
        "total": len(items),
        "selects": features_of(backup.database.server).selects,
        "most": MOST_SELECTED,
        "carried": [(name, given[name]) for name in given if _is_carried(name)],
        "command": command("restore", backup.label or backup.pk, *_options(backup, selected, part)),
    }


def _options(backup: Backup, selected: list[SelectableItem], part: RestoreScope) -> list[str]:
    database = backup.database
    if not selected:
        return []
    how = {"with_data": part.with_data, "with_structure": part.with_structure}
    place = ["--into", f"{database.server.name}/{database.name}", "--confirm", database.name]
    words = options_of(as_selection(selected, **how))
    return words if part.with_structure else [*place, *words]


def _is_carried(name: str) -> bool:
    """Whether it is an answer to a question of the pages before."""
    return name in _CARRIED or name.startswith(RENAMED)


def _sized(items: Any, sizes: dict[str, int]) -> list[tuple[SelectableItem, int | None]]:
    return [(item, sizes.get(item.key)) for item in items]


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 9 else 1
