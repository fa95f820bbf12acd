from django.db import migrations


def rename_key(apps, schema_editor):
    """Results of restores say `retained_as` where they said `kept_as`."""
    rows = (
        apps.get_model("restores", "Restore")
        .objects.using(schema_editor.connection.alias)
        .filter(result__has_key="kept_as")
    )
    for row in rows.only("result").iterator():
        row.result["retained_as"] = row.result.pop("kept_as")
        row.save(update_fields=["result"])


class Migration(migrations.Migration):
    dependencies = [("restores", "0007_switches")]

    operations = [
        migrations.RenameModel("KeptDatabase", "RetainedDatabase"),
        migrations.RunPython(rename_key, migrations.RunPython.noop),
    ]
