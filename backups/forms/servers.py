"""Forms of servers; each kind has its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone

from backups.ca_certificates import checked
from backups.forms.owned import TeamForm
from backups.models import Server
from backups.onboarding import save_server
from backups.roots import VARIABLE, allowed_text, check_folder
from covetbackup.access.roles import Permission
from covetbackup.core.errors import BadSetting, sentence
from covetbackup.core.stream.secret import Secret

_AUTHORITY_LIMIT = 200_000
_MYSQL_PORT = 3306
SSL_MODES = (
    ("prefer", "Prefer: encrypted if the server supports it"),
    ("require", "Require: encrypted, certificate not verified"),
    ("verify-ca", "Verify CA"),
    ("verify-full", "Verify CA and host name"),
    ("disable", "Disable: not encrypted"),
)


_DESTINATION = ("host", "port", "user", "sslmode", "authority")
"""Where a stored password is sent to, and how sure that is."""


class ServerForm(TeamForm):
    """Base of the forms of each kind; `password` is write-only."""

    permission = Permission.CHANGE_DATABASE
    kind: ClassVar[str]
    more: ClassVar[tuple[str, ...]] = (
        *("authority", "maintenance_database"),
        *("include", "exclude", "queue"),
    )
    connecting: ClassVar[tuple[str, ...]]
    """The fields that decide what is connected to, and how."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.kind = self.kind
        for name in ("include", "exclude"):
            self.fields[name].widget.attrs |= {"rows": 3, "spellcheck": "false"}

    def main_fields(self) -> list[forms.BoundField]:
        """Return the fields that are always shown."""
        return [field for field in self.visible_fields() if field.name not in self.more]

    def more_fields(self) -> list[forms.BoundField]:
        """Advanced fields, shown folded."""
        return [field for field in self.visible_fields() if field.name in self.more]

    def more_is_open(self) -> bool:
        """Return whether the advanced fields are shown at once, as one has an error."""
        return any(field.errors for field in self.more_fields())

    def typed_password(self) -> Secret | None:
        """Return the password that was entered, None to use the stored one."""
        text = self.cleaned_data.get("password")
        return Secret(text) if text else None

    def has_typed_password(self) -> bool:
        """Return whether a password was entered."""
        return bool(self.cleaned_data.get("password"))

    def leads_elsewhere(self) -> bool:
        """Return whether the entered connection settings differ from the stored ones.

        For a new server they always do.
        """
        return self.instance.pk is None or bool(set(self.connecting) & set(self.changed_data))

    def for_the_record(self) -> dict[str, Any]:
        """Return the details for the audit log: the changed fields, no secrets."""
        values = self.cleaned_data
        where = {
            name: values[name] for name in ("host", "port", "user", "folder") if name in values
        }
        return {**where, "changed": [str(name) for name in self.changed_data]}

    def save(self, commit: bool = True) -> Server:
        """Save the server. Raises `SecretsLocked`."""
        typed = self.typed_password()
        return save_server(super().save(commit=False), typed.reveal() if typed else None)


class HostServerForm(ServerForm):
    """Base of the forms of servers with a host."""

    connecting = (*_DESTINATION, "password")

    host = forms.CharField(max_length=255, help_text="Host name or IP address.")
    port = forms.IntegerField(min_value=1, max_value=65535, initial=5432)
    user = forms.CharField(
        max_length=63, help_text="Needs read access to all data to be backed up."
    )
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted and never shown again.",
    )
    sslmode = forms.ChoiceField(label="TLS mode", choices=SSL_MODES)

    class Meta:
        model = Server
        fields = (
            "team",
            "name",
            "host",
            "port",
            "user",
            "sslmode",
            "authority",
            "include",
            "exclude",
            "queue",
        )
        labels = {"authority": "CA certificate"}
        help_texts = {
            "authority": "PEM format, for the TLS modes that verify. Leave empty to use the CAs "
            "that this machine trusts.",
            "include": "Patterns such as shop_*, one per line. Leave empty for all databases.",
            "exclude": "Patterns of databases to exclude, one per line.",
            "queue": "Queue whose workers run this server's jobs.",
        }

    field_order = ("team", "name", "host", "port", "user", "password", "sslmode")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["authority"].widget.attrs |= {
            "rows": 4,
            "spellcheck": "false",
            "placeholder": "-----BEGIN CERTIFICATE-----",
        }
        if self.instance.pk and self.instance.password:
            self.fields["password"].help_text = (
                "A password is stored. Leave empty to keep it; enter it again if you change "
                "host, port or user."
            )

    def clean_authority(self) -> str:
        text: str = self.cleaned_data["authority"]
        if not text.strip():
            return ""
        try:
            return checked(text[:_AUTHORITY_LIMIT], now=timezone.now())
        except BadSetting as error:
            raise ValidationError(sentence(error)) from error

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        # Otherwise an editor could have the stored password sent to another server.
        moved = set(_DESTINATION) & set(self.changed_data)
        if moved and self.instance.password and not values.get("password"):
            self.add_error(
                "password", "Enter the password again: the connection settings have changed."
            )
        return values


class PostgresServerForm(HostServerForm):
    """A PostgreSQL server."""

    kind = "postgresql"
    connecting = (*HostServerForm.connecting, "maintenance_database")

    class Meta(HostServerForm.Meta):
        fields = (*HostServerForm.Meta.fields, "maintenance_database")
        labels = {
            **HostServerForm.Meta.labels,
            "maintenance_database": "Maintenance database",
        }


class MysqlServerForm(HostServerForm):
    """A MySQL or MariaDB server."""

    kind = "mysql"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            self.initial["port"] = _MYSQL_PORT


class SqliteServerForm(ServerForm):
    """A folder of SQLite files."""

    kind = "sqlite"
    connecting = ("folder",)

    folder = forms.CharField(
        max_length=1000,
        widget=forms.TextInput(attrs={"placeholder": "/srv/shop", "spellcheck": "false"}),
    )

    class Meta:
        model = Server
        fields = ("team", "name", "folder", "include", "exclude", "queue")
        help_texts = HostServerForm.Meta.help_texts

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["folder"].help_text = (
            "Absolute path on the workers' machine; its SQLite files are discovered. Must be "
            f"one of these or below: {allowed_text()} ({VARIABLE})."
        )

    def clean_folder(self) -> str:
        folder: str = self.cleaned_data["folder"]
        if not folder.startswith("/") or ".." in folder.split("/"):
            raise ValidationError("Enter an absolute path without “..”, such as /srv/shop.")
        folder = folder.rstrip("/") or "/"
        try:
            check_folder(Path(folder))
        except BadSetting as error:
            raise ValidationError(sentence(error)) from error
        return folder


SERVER_FORMS: dict[str, type[ServerForm]] = {
    form.kind: form for form in (PostgresServerForm, MysqlServerForm, SqliteServerForm)
}
