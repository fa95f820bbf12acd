"""The address of the page of settings."""

from __future__ import annotations

from django.urls import path

from covetbackup.condition.views import settings_page

urlpatterns = [path("settings/", settings_page, name="settings")]
