"""Forms of repositories; each kind has its own."""

from __future__ import annotations

import urllib.parse
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError

from backups.forms.owned import TeamForm
from backups.models import Repository
from backups.models.repository import RepositoryKind
from covetbackup.access.roles import Permission
from covetbackup.core.errors import CovetError, sentence
from covetbackup.core.storage.registry import S3Credentials, open_storage


class RepositoryForm(TeamForm):
    """Base of the forms of each kind, whose own fields become the engine's URL."""

    permission = Permission.CHANGE_REPOSITORY
    kind: ClassVar[RepositoryKind]

    # Not the model's field: that one refuses a second default, this one takes over from the first.
    is_default = forms.BooleanField(
        label="Default repository",
        required=False,
        help_text="New backups are stored here unless another repository is selected.",
    )

    class Meta:
        model = Repository
        fields = ("team", "name")

    def unsaved(self) -> Repository:
        """Return the repository that was entered, not saved."""
        row: Repository = self.save(commit=False)
        row.is_default = self.cleaned_data["is_default"]
        return row

    def credentials(self) -> S3Credentials | None:
        """Return the credentials that were entered, None if there are none."""
        return None

    def url(self) -> str:
        """Return the engine's URL of the repository."""
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
            raise ValidationError(sentence(error)) from error
        return url


class LocalRepositoryForm(RepositoryForm):
    """A repository in a local folder."""

    kind = RepositoryKind.LOCAL

    folder = forms.CharField(
        max_length=900,
        help_text="Absolute path that web server and workers can access: empty, or a repository.",
        widget=forms.TextInput(attrs={"placeholder": "/srv/backups", "spellcheck": "false"}),
    )
    field_order = ("team", "name", "folder", "is_default")

    def clean_folder(self) -> str:
        folder: str = self.cleaned_data["folder"]
        if not folder.startswith("/") or ".." in folder.split("/"):
            raise ValidationError("Enter an absolute path without “..”, such as /srv/backups.")
        return folder

    def url(self) -> str:
        return f"file://{urllib.parse.quote(self.cleaned_data['folder'])}"


class S3RepositoryForm(RepositoryForm):
    """A repository in an S3 bucket."""

    kind = RepositoryKind.S3

    bucket = forms.CharField(max_length=255)
    prefix = forms.CharField(
        max_length=120, required=False, help_text="Folder in the bucket, such as covet/shop."
    )
    endpoint = forms.CharField(
        max_length=300,
        required=False,
        help_text="For S3-compatible storage: https://s3.example.com. Leave empty for Amazon S3.",
    )
    region = forms.CharField(max_length=64, required=False)
    access_key_id = forms.CharField(
        label="Access key ID",
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
        help_text="Stored encrypted and never shown again.",
    )
    path_style = forms.BooleanField(
        label="Path-style addressing (most S3-compatible storage)", required=False
    )
    field_order = (
        *("team", "name", "bucket", "prefix", "endpoint", "region"),
        *("access_key_id", "secret_access_key", "path_style", "is_default"),
    )

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
            self.add_error(
                "secret_access_key",
                "Enter both the access key ID and the secret, or neither.",
            )
        return super().clean()


REPOSITORY_FORMS: dict[str, type[RepositoryForm]] = {
    form.kind.value: form for form in (LocalRepositoryForm, S3RepositoryForm)
}
