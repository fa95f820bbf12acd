"""Every address of the dashboard; each app's own are in its `urls` module."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from covetbackup.health import healthz, readyz
from covetbackup.overview import overview

urlpatterns = [
    path("", overview, name="overview"),
    path("", include("covetbackup.access.urls")),
    path("", include("covetbackup.audit.urls")),
    path("", include("covetbackup.jobs.urls")),
    path("", include("backups.urls")),
    path("", include("restores.urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("admin/", admin.site.urls),
]
