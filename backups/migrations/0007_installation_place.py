from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("backups", "0006_verdicts")]

    operations = [
        migrations.AddField(
            model_name="installation",
            name="place",
            field=models.CharField(blank=True, default="", editable=False, max_length=100),
        ),
    ]
