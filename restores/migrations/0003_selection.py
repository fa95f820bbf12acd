from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("restores", "0002_replacement"),
    ]

    operations = [
        migrations.AddField(
            model_name="restore",
            name="selection",
            field=models.JSONField(null=True),
        ),
    ]
