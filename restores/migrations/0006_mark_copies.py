"""Databases that restores made under names that have no backups are marked as copies."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def mark_copies(apps: Any, editor: Any) -> None:
    databases = apps.get_model("backups", "Database").objects.using(editor.connection.alias)
    restores = apps.get_model("restores", "Restore").objects.using(editor.connection.alias)
    made = restores.filter(replaces=False, adds=False, result__state="done")
    for server, name in made.values_list("target_server", "target_name"):
        databases.filter(server=server, name=name, backups=None).update(is_restored_copy=True)


class Migration(migrations.Migration):
    dependencies = [("restores", "0005_addition"), ("backups", "0006_verdicts")]

    operations = [migrations.RunPython(mark_copies, migrations.RunPython.noop)]
