from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="server", name="authority", field=models.TextField(blank=True)
        )
    ]
