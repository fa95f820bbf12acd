"""The project as an app of its own, so that its system checks are known before any command."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class Project(AppConfig):
    """The app of the project itself."""

    name = "covetbackup"
    label = "covetbackup"
    verbose_name = "CovetBackup"

    def ready(self) -> None:
        import_module("covetbackup.checks")
