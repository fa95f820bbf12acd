"""Forms for databases and backups: back up, verify, note, delete."""

from __future__ import annotations

import uuid
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from backups.models import Repository
from covetbackup.access.models import Team
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.operations.verify import VerifyLevel

CODECS = (
    ("zstd:3", "Zstandard 3: fast, good ratio"),
    ("zstd:9", "Zstandard 9: slower, smaller"),
    ("zstd:19", "Zstandard 19: slowest, smallest"),
    ("gzip:6", "gzip 6: most compatible"),
    ("lzma:6", "xz 6: small, slow"),
    ("bzip2:9", "bzip2 9"),
    ("none", "None: for data that is already compressed"),
)

CIPHERS = (
    (Suite.AES_256_GCM.value, "AES-256-GCM"),
    (Suite.CHACHA20_POLY1305.value, "ChaCha20-Poly1305"),
    (Suite.AES_256_CBC_HMAC_SHA256.value, "AES-256-CBC with HMAC-SHA-256"),
    ("none", "None: data is stored unencrypted"),
)

LEVELS = (
    (VerifyLevel.EXISTS.value, "Presence"),
    (VerifyLevel.CHECKSUM.value, "Checksums"),
    (VerifyLevel.SAMPLED.value, "Sample decrypt"),
    (VerifyLevel.CONTENT.value, "Full read"),
)


class BackupForm(forms.Form):
    """Back up now. The backup's id comes with the form, so that sending it twice makes one."""

    backup_id = forms.UUIDField(required=False, widget=forms.HiddenInput(), initial=uuid.uuid4)

    repositories = forms.ModelMultipleChoiceField(
        Repository.objects.none(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Select at least one repository."},
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
    """The level of a verification."""

    level = forms.ChoiceField(
        choices=LEVELS,
        initial=VerifyLevel.CHECKSUM.value,
        help_text="Presence: all objects exist. Checksums: stored data is unchanged. Sample "
        "decrypt: random parts. Full read: decrypt and decompress everything.",
    )


class NoteForm(forms.Form):
    """Note and tags of a backup; tags are separated by commas."""

    note = forms.CharField(
        max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    tags = forms.CharField(max_length=300, required=False, help_text="Comma-separated")

    def clean_tags(self) -> list[str]:
        words = (word.strip() for word in self.cleaned_data["tags"].split(","))
        return list(dict.fromkeys(word[:40] for word in words if word))[:20]


class DeleteForm(forms.Form):
    """Confirmation of a deletion: the last restorable backup needs the database's name."""

    name = forms.CharField(strip=False, label="Database name")

    def __init__(self, *args: Any, expected: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.expected = expected
        if not expected:
            del self.fields["name"]

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.expected:
            raise ValidationError("The name does not match.")
        return self.expected
