from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [
        migrations.RenameField("job", "server_lane", "server_slot"),
        migrations.RenameField("job", "repository_lane", "repository_slot"),
    ]
