from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("restores", "0006_mark_copies"),
    ]

    operations = [
        migrations.AddField(
            model_name="restore",
            name="switches",
            field=models.JSONField(default=list),
        ),
    ]
