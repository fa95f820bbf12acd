"""URLs of the audit log."""

from __future__ import annotations

from django.urls import path

from covetbackup.audit import views

urlpatterns = [
    path("audit/", views.audit, name="audit"),
    path("audit/check/", views.audit_check, name="audit-check"),
    path("audit/export.csv", views.audit_export, name="audit-export"),
]
