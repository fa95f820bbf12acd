"""The catalog in the admin site: connections to be edited, history to be read.

Encrypted fields are not shown at all: passwords and credentials are entered on the pages, which
test them. What a secret is sent to is changed there too, where it must be entered again. Schedules
and retention policies are not shown: nothing acts on them yet.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse

from backups.discovery import is_included
from backups.listing import HEAVY
from backups.models import Backup, BackupCopy, Database, EncryptionKey, Hold, Repository, Server
from backups.search import Sources, matching
from covetbackup.audit.admin import Audited, ReadOnly


class Fixed(Audited):
    """Rows that are changed, but neither added nor removed by hand."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Server)
class ServerAdmin(Fixed, admin.ModelAdmin):
    list_display = ("name", "team", "kind", "host", "folder", "checked_at")
    list_filter = ("kind", "team")
    search_fields = ("name", "host", "folder")
    fields = ("name", "team", "kind", "include", "exclude", "queue", "checked_at", "problem")
    readonly_fields = ("team", "kind", "checked_at", "problem")

    def view_on_site(self, obj: Server) -> str:
        return reverse("server", args=[obj.pk])


@admin.register(Database)
class DatabaseAdmin(Fixed, admin.ModelAdmin):
    list_display = ("name", "server", "state", "is_included", "is_new", "seen_at")
    list_filter = ("state", "inclusion", "is_included", "is_new")
    list_select_related = ("server",)
    search_fields = ("name", "server__name")
    fields = (
        *("name", "server", "state", "inclusion", "is_included", "is_new", "tags"),
        *("size_bytes", "seen_at"),
    )
    readonly_fields = ("name", "server", "state", "is_included", "size_bytes", "seen_at")

    def save_model(self, request: HttpRequest, obj: Database, form: Any, change: bool) -> None:
        obj.is_included = is_included(obj, obj.server)
        super().save_model(request, obj, form, change)

    def view_on_site(self, obj: Database) -> str:
        return reverse("database", args=[obj.pk])


@admin.register(Repository)
class RepositoryAdmin(Fixed, admin.ModelAdmin):
    list_display = ("name", "team", "kind", "url", "is_default", "checked_at")
    list_filter = ("kind", "team")
    search_fields = ("name", "url")
    fields = ("name", "team", "kind", "url", "is_default", "engine_id", "checked_at", "problem")
    readonly_fields = ("team", "kind", "url", "engine_id", "checked_at", "problem")

    def view_on_site(self, obj: Repository) -> str:
        return reverse("repository", args=[obj.pk])


@admin.register(EncryptionKey)
class EncryptionKeyAdmin(ReadOnly):
    list_display = ("name", "key_id", "team", "kind", "state", "created_at")
    fields = ("name", "key_id", "team", "kind", "public", "state", "created_at")

    def view_on_site(self, obj: EncryptionKey) -> str:
        return reverse("keys")


class CopyInline(admin.TabularInline):
    model = BackupCopy
    extra = 0
    can_delete = False
    fields = readonly_fields = ("repository", "state", "stored_at", "checked_at", "problem")

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(Backup)
class BackupAdmin(ReadOnly):
    list_display = ("label", "database", "state", "created_at", "stored_bytes", "is_pinned")
    list_filter = ("state", "is_pinned")
    list_per_page = 50
    list_select_related = ()  # False would mean: all that is in `list_display`
    sortable_by = ("created_at",)  # what has an index
    search_fields = ("label",)
    search_help_text = "Names of servers and databases, notes, tags, a label or an id"
    show_full_result_count = False
    exclude = ("inventory", "phases")
    inlines = (CopyInline,)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backup]:
        # Not joined: the database would read all backups of each server, and sort them.
        rows: QuerySet[Backup] = super().get_queryset(request)
        return rows.defer(*HEAVY).prefetch_related("database__server")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Backup], search_term: str
    ) -> tuple[QuerySet[Backup], bool]:
        return matching(queryset, search_term, Sources.of(Database.objects.all())), False

    def view_on_site(self, obj: Backup) -> str:
        return reverse("backup", args=[obj.pk])


@admin.register(Hold)
class HoldAdmin(ReadOnly):
    list_display = ("backup", "reason", "placed_by", "placed_at")
    list_select_related = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Hold]:
        rows: QuerySet[Hold] = super().get_queryset(request)
        return rows.prefetch_related("backup__database__server", "placed_by")
