"""The catalog's app."""

from __future__ import annotations

from importlib import import_module

from django.apps import AppConfig


class BackupsConfig(AppConfig):
    name = "backups"
    verbose_name = "Catalog"

    def ready(self) -> None:
        import_module("backups.checks")
