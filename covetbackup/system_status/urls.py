"""URLs of the settings page and of its actions."""

from __future__ import annotations

from django.urls import path

from covetbackup.system_status.quarantine_views import quarantine_page
from covetbackup.system_status.views import settings_page

urlpatterns = [
    path("settings/", settings_page, name="settings"),
    path("settings/quarantine/", quarantine_page, name="settings-quarantine"),
]
