"""The audit log's app."""

from __future__ import annotations

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "covetbackup.audit"
    label = "audit"
    verbose_name = "Audit log"
