"""The audit log in the admin site, read-only, and the recording of the site's own changes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from covetbackup.audit.log import record
from covetbackup.audit.models import AuditEntry


class ReadOnly(admin.ModelAdmin):
    """An admin of history, whose rows are never added, changed or deleted by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class Audited:
    """A mixin, named before `ModelAdmin`, that records the admin site's changes of rows."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Record an addition in the audit log."""
        record(request, "admin.add", subject=obj)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        """Record a change in the audit log."""
        fields = [name for part in message for name in part.get("changed", {}).get("fields", [])]
        record(request, "admin.change", subject=obj, details={"fields": fields})
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        """Record deletions in the audit log."""
        for row in queryset:
            record(request, "admin.remove", subject=row)
        return super().log_deletions(request, queryset)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("sequence", "at", "actor", "action_title", "object_name", "outcome")
    list_filter = ("outcome",)
    list_per_page = 50
    sortable_by = ("sequence",)  # what has an index; the log's own page searches
    ordering = ("-sequence",)
