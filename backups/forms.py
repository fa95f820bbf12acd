"""What people may enter: checked here for shape, by the catalog for meaning."""

from __future__ import annotations

import urllib.parse
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from backups.models import Database, Repository, Server
from backups.models.backup import BackupState
from backups.models.repository import RepositoryKind
from backups.models.source import ServerKind
from backups.registering import save_server
from covetbackup.access.models import Team, User
from covetbackup.access.roles import Permission
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.errors import CovetError
from covetbackup.core.operations.verify import Level
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.stream.secret import Secret

CODECS = (
    ("zstd:3", "Zstandard 3: fast, good ratio"),
    ("zstd:9", "Zstandard 9: slower, smaller"),
    ("zstd:19", "Zstandard 19: slowest, smallest"),
    ("gzip:6", "gzip 6: opens anywhere"),
    ("lzma:6", "xz 6: small, slow"),
    ("bzip2:9", "bzip2 9"),
    ("none", "None: already compressed data"),
)
CIPHERS = (
    (Suite.AES_256_GCM.value, "AES-256-GCM"),
    (Suite.CHACHA20_POLY1305.value, "ChaCha20-Poly1305"),
    (Suite.AES_256_CBC_HMAC_SHA256.value, "AES-256-CBC with HMAC-SHA-256"),
    ("none", "None: whoever reads the repository reads the data"),
)
LEVELS = (
    (Level.EXISTS.value, "Exists: all objects are there"),
    (Level.CHECKSUM.value, "Checksum: stored as written"),
    (Level.SAMPLED.value, "Sampled: random parts open"),
    (Level.CONTENT.value, "Content: all of it opens"),
)
SSL_MODES = (
    ("prefer", "Prefer: encrypted if the server can"),
    ("require", "Require: encrypted, any certificate"),
    ("verify-ca", "Verify the certificate's authority"),
    ("verify-full", "Verify authority and host name"),
    ("disable", "Disable: never encrypted"),
)


class TeamForm(forms.ModelForm):
    """A row that belongs to a team: chosen among the user's when added, fixed afterwards."""

    permission: ClassVar[Permission]

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        teams = user.teams_with(self.permission)
        field = self.fields["team"] = forms.ModelChoiceField(teams, empty_label=None)
        if self.instance.pk:
            field.queryset = Team.objects.filter(pk=self.instance.team_id)
            field.disabled, field.initial = True, self.instance.team_id
        only = list(field.queryset[:2])
        if len(only) == 1:
            field.initial, field.widget = only[0].pk, forms.HiddenInput()
            field.widget.is_required = True


class ServerForm(TeamForm):
    """One of a kind's own forms follows; `password` is write-only."""

    permission = Permission.CHANGE_DATABASE
    kind: ClassVar[ServerKind]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instance.kind = self.kind
        for name in ("include", "exclude"):
            self.fields[name].widget.attrs |= {"rows": 3, "spellcheck": "false"}

    def typed_password(self) -> Secret | None:
        """What was typed; None means what is stored."""
        text = self.cleaned_data.get("password")
        return Secret(text) if text else None

    def for_the_record(self) -> dict[str, Any]:
        """What the audit log keeps of the change: no secrets."""
        values = self.cleaned_data
        where = {
            name: values[name] for name in ("host", "port", "user", "folder") if name in values
        }
        return {**where, "changed": [str(name) for name in self.changed_data]}

    def save(self, commit: bool = True) -> Server:
        """Raises `SecretsLocked`."""
        typed = self.typed_password()
        return save_server(super().save(commit=False), typed.reveal() if typed else None)


class PostgresServerForm(ServerForm):
    kind = ServerKind.POSTGRESQL

    host = forms.CharField(
        max_length=255, help_text="A name or an address. Metadata services are never contacted."
    )
    user = forms.CharField(max_length=63, help_text="A role that may read all that is backed up.")
    password = forms.CharField(
        required=False,
        strip=False,
        max_length=1000,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored sealed, and never shown again.",
    )
    sslmode = forms.ChoiceField(label="Encryption", choices=SSL_MODES)

    class Meta:
        model = Server
        fields = (
            "team",
            "name",
            "host",
            "port",
            "user",
            "sslmode",
            "maintenance_database",
            "include",
            "exclude",
            "queue",
        )
        labels = {"maintenance_database": "Database to connect to first"}
        help_texts = {
            "include": "Which databases: patterns such as shop_*, one a line. None means all.",
            "exclude": "Which databases not: patterns, one a line.",
            "queue": "Which workers run its jobs. Leave as it is unless one is near the server.",
        }

    field_order = ("team", "name", "host", "port", "user", "password", "sslmode")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk and self.instance.password:
            self.fields["password"].help_text = (
                "One is stored. Leave this empty to keep it; type it again if you change host, "
                "port or user."
            )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        # Otherwise an editor could have the stored password sent to a server of his own.
        moved = {"host", "port", "user", "sslmode"} & set(self.changed_data)
        if moved and self.instance.password and not values.get("password"):
            self.add_error(
                "password", "Type the password again, because where it is sent to has changed."
            )
        return values


class SqliteServerForm(ServerForm):
    kind = ServerKind.SQLITE

    folder = forms.CharField(
        max_length=1000,
        help_text="An absolute path on the workers' machine. The SQLite files in it are found.",
        widget=forms.TextInput(attrs={"placeholder": "/srv/shop", "spellcheck": "false"}),
    )

    class Meta:
        model = Server
        fields = ("team", "name", "folder", "include", "exclude", "queue")
        help_texts = PostgresServerForm.Meta.help_texts

    def clean_folder(self) -> str:
        folder: str = self.cleaned_data["folder"]
        if not folder.startswith("/") or ".." in folder.split("/"):
            raise ValidationError("This must be an absolute path without “..”, such as /srv/shop.")
        return folder.rstrip("/") or "/"


SERVER_FORMS: dict[str, type[ServerForm]] = {
    form.kind.value: form for form in (PostgresServerForm, SqliteServerForm)
}


class RepositoryForm(TeamForm):
    """A place for backups; what the kinds' own fields say becomes the engine's URL."""

    permission = Permission.CHANGE_REPOSITORY
    kind: ClassVar[RepositoryKind]

    # Not the model's field: that one refuses a second default, this one takes over from the first.
    is_default = forms.BooleanField(
        label="Put new backups here unless told otherwise", required=False
    )

    class Meta:
        model = Repository
        fields = ("team", "name")

    def unsaved(self) -> Repository:
        row: Repository = self.save(commit=False)
        row.is_default = self.cleaned_data["is_default"]
        return row

    def credentials(self) -> S3Credentials | None:
        return None

    def url(self) -> str:
        raise NotImplementedError

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if not self.errors:
            self.instance.kind = self.kind
            self.instance.url = self._checked_url()
        return values

    def _checked_url(self) -> str:
        try:
            url = self.url()
            open_storage(url, self.credentials())
        except CovetError as error:
            raise ValidationError(f"{error.message}. {error.hint}".strip()) from error
        return url


class LocalRepositoryForm(RepositoryForm):
    kind = RepositoryKind.LOCAL

    folder = forms.CharField(
        max_length=900,
        help_text="An absolute path that web server and workers both see: empty, or a repository.",
        widget=forms.TextInput(attrs={"placeholder": "/srv/backups", "spellcheck": "false"}),
    )
    field_order = ("team", "name", "folder", "is_default")

    def clean_folder(self) -> str:
        folder: str = self.cleaned_data["folder"]
        if not folder.startswith("/") or ".." in folder.split("/"):
            raise ValidationError("This must be an absolute path without “..”: /srv/backups.")
        return folder

    def url(self) -> str:
        return f"file://{urllib.parse.quote(self.cleaned_data['folder'])}"


class S3RepositoryForm(RepositoryForm):
    kind = RepositoryKind.S3

    bucket = forms.CharField(max_length=255)
    prefix = forms.CharField(
        max_length=120, required=False, help_text="A folder in the bucket, such as covet/shop."
    )
    endpoint = forms.CharField(
        max_length=300,
        required=False,
        help_text="For compatible stores: https://s3.example.com. Empty means Amazon.",
    )
    region = forms.CharField(max_length=64, required=False)
    access_key_id = forms.CharField(
        label="Access key id",
        max_length=200,
        required=False,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    secret_access_key = forms.CharField(
        label="Secret access key",
        max_length=500,
        required=False,
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="Stored sealed, and never shown again.",
    )
    path_style = forms.BooleanField(
        label="Bucket in the path (most compatible stores)", required=False
    )
    field_order = ("team", "name", "bucket", "prefix", "endpoint", "region", "path_style")

    def credentials(self) -> S3Credentials | None:
        values = self.cleaned_data
        if not values["access_key_id"]:
            return None
        return S3Credentials(values["access_key_id"], values["secret_access_key"])

    def url(self) -> str:
        values = self.cleaned_data
        options = {
            "endpoint": values["endpoint"],
            "region": values["region"],
            "path_style": "1" if values["path_style"] else "",
        }
        place = "/".join(filter(None, (values["bucket"], values["prefix"].strip("/"))))
        query = urllib.parse.urlencode({name: value for name, value in options.items() if value})
        return f"s3://{place}?{query}" if query else f"s3://{place}"

    def clean(self) -> dict[str, Any]:
        values = self.cleaned_data
        if bool(values.get("access_key_id")) != bool(values.get("secret_access_key")):
            self.add_error("secret_access_key", "Id and secret belong together: give both or none.")
        return super().clean()


REPOSITORY_FORMS: dict[str, type[RepositoryForm]] = {
    form.kind.value: form for form in (LocalRepositoryForm, S3RepositoryForm)
}


class BackupForm(forms.Form):
    """Back up now."""

    repositories = forms.ModelMultipleChoiceField(
        Repository.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one repository."},
    )
    codec = forms.ChoiceField(label="Compression", choices=CODECS)
    cipher = forms.ChoiceField(label="Encryption", choices=CIPHERS)
    note = forms.CharField(max_length=2000, required=False)

    def __init__(self, *args: Any, team: Team, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        mine = Repository.objects.filter(team=team)
        self.fields["repositories"].queryset = mine
        chosen = [row.pk for row in mine if row.is_default] or [row.pk for row in mine[:1]]
        self.fields["repositories"].initial = chosen


class VerifyForm(forms.Form):
    level = forms.ChoiceField(choices=LEVELS, initial=Level.CHECKSUM.value)


class NoteForm(forms.Form):
    """Tags are words, separated by commas or spaces."""

    note = forms.CharField(
        max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    tags = forms.CharField(max_length=300, required=False, help_text="Words, separated by commas.")

    def clean_tags(self) -> list[str]:
        words = (word.strip() for word in self.cleaned_data["tags"].split(","))
        return list(dict.fromkeys(word[:40] for word in words if word))[:20]


class DeleteForm(forms.Form):
    """The last good backup of a database goes only if the database's name is typed."""

    name = forms.CharField(required=False, strip=False, label="Name of the database")

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected
        if not expected:
            del self.fields["name"]

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.expected:
            raise ValidationError("This is not the name of the database.")
        return self.expected


class DatabaseFilter(forms.Form):
    q = forms.CharField(label="Search", max_length=100, required=False)
    server = forms.ModelChoiceField(Server.objects.none(), required=False, empty_label="All")
    state = forms.ChoiceField(
        choices=(
            ("", "Included"),
            ("new", "New"),
            ("excluded", "Not included"),
            ("gone", "Gone"),
            ("all", "All"),
        ),
        required=False,
    )

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["server"].queryset = Server.objects.visible_to(user)


class BackupSearch(forms.Form):
    q = forms.CharField(label="Search", max_length=100, required=False)
    database = forms.ModelChoiceField(Database.objects.none(), required=False, empty_label="All")
    state = forms.ChoiceField(
        choices=(
            ("", "All"),
            ("restorable", "Restorable"),
            *[(state.value, state.label) for state in BackupState],
        ),
        required=False,
    )
    since = forms.DateField(
        label="From", required=False, widget=forms.TextInput(attrs={"placeholder": "2026-01-31"})
    )
    until = forms.DateField(
        label="To", required=False, widget=forms.TextInput(attrs={"placeholder": "2026-12-31"})
    )

    def __init__(self, data: Any, *, user: User) -> None:
        super().__init__(data)
        self.fields["database"].queryset = Database.objects.visible_to(user).select_related(
            "server"
        )
