"""Addresses of the pages of the catalog."""

from __future__ import annotations

from django.urls import path

from backups.views import backups, databases, keys, repositories, server_form, servers

urlpatterns = [
    path("servers/", servers.servers, name="servers"),
    path("servers/add/", server_form.server_add, name="server-add"),
    path("servers/<int:pk>/", servers.server, name="server"),
    path("servers/<int:pk>/edit/", server_form.server_edit, name="server-edit"),
    path("servers/<int:pk>/test/", servers.server_test, name="server-test"),
    path("servers/<int:pk>/discover/", servers.server_discover, name="server-discover"),
    path("servers/<int:pk>/seen/", servers.server_seen, name="server-seen"),
    path("databases/", databases.databases, name="databases"),
    path("databases/<int:pk>/", databases.database, name="database"),
    path("databases/<int:pk>/backup/", databases.database_backup, name="database-backup"),
    path("databases/<int:pk>/inclusion/", databases.database_inclusion, name="database-inclusion"),
    path("backups/", backups.backups, name="backups"),
    path("backups/<uuid:pk>/", backups.backup, name="backup"),
    path("backups/<uuid:pk>/verify/", backups.backup_verify, name="backup-verify"),
    path("backups/<uuid:pk>/copy/", backups.backup_copy, name="backup-copy"),
    path("backups/<uuid:pk>/delete/", backups.backup_delete, name="backup-delete"),
    path("backups/<uuid:pk>/pin/", backups.backup_pin, name="backup-pin"),
    path("backups/<uuid:pk>/note/", backups.backup_note, name="backup-note"),
    path("repositories/", repositories.repositories, name="repositories"),
    path("repositories/add/", repositories.repository_add, name="repository-add"),
    path("repositories/<int:pk>/", repositories.repository, name="repository"),
    path("repositories/<int:pk>/test/", repositories.repository_test, name="repository-test"),
    path(
        "repositories/<int:pk>/default/",
        repositories.repository_default,
        name="repository-default",
    ),
    path("keys/", keys.keys, name="keys"),
]
