from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0007_installation_place")]

    operations = [
        migrations.AlterField(
            model_name="database",
            name="is_new",
            field=models.BooleanField(default=True, help_text="Found, and not reviewed yet"),
        ),
    ]
