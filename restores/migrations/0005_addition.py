from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("restores", "0004_longer_owner"),
    ]

    operations = [
        migrations.AddField(
            model_name="restore",
            name="adds",
            field=models.BooleanField(default=False),
        ),
        migrations.AddConstraint(
            model_name="restore",
            constraint=models.CheckConstraint(
                condition=models.Q(("adds", True), ("replaces", True), _negated=True),
                name="restore_adds_or_replaces",
            ),
        ),
    ]
