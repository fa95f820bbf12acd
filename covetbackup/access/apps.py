from __future__ import annotations

from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "covetbackup.access"
    label = "access"
    verbose_name = "Team and roles"
