from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0002_states_and_copies")]

    operations = [
        migrations.AddField(
            model_name="server", name="authority", field=models.TextField(blank=True)
        )
    ]
