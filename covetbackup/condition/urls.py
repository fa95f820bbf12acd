"""The addresses of the page of settings and of what is done there."""

from __future__ import annotations

from django.urls import path

from covetbackup.condition.quarantine_views import quarantine_page
from covetbackup.condition.views import settings_page

urlpatterns = [
    path("settings/", settings_page, name="settings"),
    path("settings/quarantine/", quarantine_page, name="settings-quarantine"),
]
