"""What a user chose about a database, copies that restores made, and servers without connection.

A verification's problem is cleared where every copy has been made good since.
"""

from __future__ import annotations

from typing import Any

from django.db import migrations, models

from backups.models.policy import validate_cron, validate_time_zone


def clear_settled_problems(apps: Any, editor: Any) -> None:
    backups = (
        apps.get_model("backups", "Backup")
        .objects.using(editor.connection.alias)
        .exclude(verify_problem="")
    )
    copies = apps.get_model("backups", "BackupCopy").objects.using(editor.connection.alias)
    damaged = copies.filter(state__in=("missing", "corrupt")).values("backup")
    backups.filter(copies__isnull=False).exclude(pk__in=damaged).update(verify_problem="")


class Migration(migrations.Migration):
    dependencies = [("backups", "0005_mysql_servers")]

    operations = [
        migrations.AddField(
            model_name="database",
            name="inclusion",
            field=models.CharField(
                blank=True,
                choices=[
                    ("", "By the server's patterns"),
                    ("included", "Always included"),
                    ("excluded", "Excluded"),
                ],
                default="",
                max_length=8,
            ),
        ),
        migrations.AddField(
            model_name="database",
            name="is_restored_copy",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AlterField(
            model_name="database",
            name="is_included",
            field=models.BooleanField(default=True, editable=False),
        ),
        migrations.AddField(
            model_name="server",
            name="is_unreachable",
            field=models.BooleanField(default=False, editable=False),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="cron",
            field=models.CharField(max_length=100, validators=[validate_cron]),
        ),
        migrations.AlterField(
            model_name="schedule",
            name="time_zone",
            field=models.CharField(default="UTC", max_length=64, validators=[validate_time_zone]),
        ),
        migrations.RunPython(clear_settled_problems, migrations.RunPython.noop),
    ]
