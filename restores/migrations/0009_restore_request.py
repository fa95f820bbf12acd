from django.db import migrations

import restores.fields

_BATCH = 500


def join_columns(apps, schema_editor):
    """Store each restore's options as one request of version 1."""
    alias = schema_editor.connection.alias
    rows = apps.get_model("restores", "Restore").objects.using(alias)
    columns = (
        "pk",
        "target_name",
        "selection",
        "adds",
        "replaces",
        "owner",
        "creates_roles",
        "jobs",
        "switches",
    )
    for row in rows.values(*columns).iterator(chunk_size=_BATCH):
        selection = row["selection"]
        if selection is not None:
            # Selections that were stored before there was a choice do not name these.
            selection = {"with_structure": True, "schemas_as": [], **selection}
        request = {
            "version": 1,
            "database": row["target_name"],
            "selection": selection,
            "into_existing": row["adds"],
            "replace": row["replaces"],
            "owner": row["owner"],
            "create_roles": row["creates_roles"],
            "jobs": row["jobs"],
            "options": row["switches"],
        }
        rows.filter(pk=row["pk"]).update(request=request)


class Migration(migrations.Migration):
    dependencies = [("restores", "0008_retained_database")]

    operations = [
        migrations.AddField(
            "restore", "request", restores.fields.RestoreRequestField(default=dict)
        ),
        migrations.RunPython(join_columns),
        migrations.RemoveConstraint("restore", "restore_adds_or_replaces"),
        *(
            migrations.RemoveField("restore", name)
            for name in (
                "target_name",
                "selection",
                "adds",
                "replaces",
                "owner",
                "creates_roles",
                "jobs",
                "switches",
            )
        ),
        migrations.RenameField("restore", "keep_days", "retention_days"),
        migrations.AlterField("restore", "request", restores.fields.RestoreRequestField()),
    ]
