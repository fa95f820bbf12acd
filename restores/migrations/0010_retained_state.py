from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("restores", "0009_restore_request")]

    operations = [
        migrations.AlterField(
            model_name="retaineddatabase",
            name="state",
            field=models.CharField(
                choices=[
                    ("kept", "Retained"),
                    ("busy", "Busy"),
                    ("dropped", "Dropped"),
                    ("gone", "Gone"),
                ],
                default="kept",
                max_length=8,
            ),
        ),
    ]
