"""The app of users, teams and roles."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "covetbackup.access"
    label = "access"
    verbose_name = "Team and roles"

    def ready(self) -> None:
        # registers what starts a session's clocks
        import_module("covetbackup.access.sessions")
