from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("restores", "0003_selection"),
    ]

    operations = [
        migrations.AlterField(
            model_name="restore",
            name="owner",
            field=models.CharField(default="keep", max_length=384),
        ),
    ]
