"""Users and teams in the admin site. What is changed there is in the audit log too."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from covetbackup.access.models import Membership, Team, User
from covetbackup.access.roles import Role
from covetbackup.audit.admin import Audited


class KeepsAnOwner(BaseInlineFormSet):
    """Refuses to leave a team without owner, as the team's page does."""

    def clean(self) -> None:
        super().clean()
        rows = [form.cleaned_data for form in self.forms if getattr(form, "cleaned_data", None)]
        if not any(row.get("role") == Role.OWNER and not row.get("DELETE") for row in rows):
            raise ValidationError("A team needs an owner.")


class MembershipInline(admin.TabularInline):
    model = Membership
    formset = KeepsAnOwner
    extra = 1
    autocomplete_fields = ("user",)


@admin.register(Team)
class TeamAdmin(Audited, admin.ModelAdmin):
    search_fields = ("name",)
    inlines = (MembershipInline,)


@admin.register(User)
class CatalogUserAdmin(Audited, UserAdmin):
    """Users are switched off, never removed: the audit log is about them."""

    list_display = ("username", "email", "is_active", "is_staff", "last_login")
    list_filter = ("is_active", "is_staff")
    filter_horizontal = ()
    fieldsets = (
        (None, {"fields": ("username", "password", "email")}),
        ("Rights in the admin site", {"fields": ("is_active", "is_staff", "is_superuser")}),
        ("Pages", {"fields": ("time_zone", "theme")}),
    )

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False
