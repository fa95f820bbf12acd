from __future__ import annotations

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("backups", "0004_lists_by_indexes")]

    operations = [
        migrations.RemoveConstraint(model_name="server", name="server_is_a_host_or_a_folder"),
        migrations.AlterField(
            model_name="server",
            name="kind",
            field=models.CharField(
                choices=[
                    ("postgresql", "PostgreSQL"),
                    ("mysql", "MySQL / MariaDB"),
                    ("sqlite", "SQLite"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            model_name="server",
            constraint=models.CheckConstraint(
                condition=Q(kind="sqlite", host="") & ~Q(folder="")
                | Q(kind__in=("postgresql", "mysql"), folder="") & ~Q(host=""),
                name="server_is_a_host_or_a_folder",
            ),
        ),
    ]
