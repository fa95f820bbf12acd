from __future__ import annotations

from django.db import migrations, models
from django.db.models import Q

import covetbackup.core.databases.registry


class Migration(migrations.Migration):
    dependencies = [("backups", "0008_review_help_text")]

    operations = [
        migrations.AlterField(
            model_name="server",
            name="kind",
            field=models.CharField(
                choices=covetbackup.core.databases.registry.kind_titles, max_length=16
            ),
        ),
        migrations.RemoveConstraint(model_name="server", name="server_is_a_host_or_a_folder"),
        migrations.AddConstraint(
            model_name="server",
            constraint=models.CheckConstraint(
                condition=(Q(host="") & ~Q(folder="")) | (Q(folder="") & ~Q(host="")),
                name="server_is_a_host_or_a_folder",
            ),
        ),
    ]
