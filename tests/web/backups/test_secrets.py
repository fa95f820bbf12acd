"""Secrets at rest: encrypted for one place, never under a key that was not chosen."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.conf import settings
from django.core import serializers
from django.test import override_settings

from backups import secrets
from backups.errors import SecretsLocked
from backups.installation import make_keys, set_up
from backups.models import EncryptionKey, Installation, Server
from covetbackup.access.models import Team, User
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keys import RawKey
from covetbackup.core.errors import BadSetting, Tampered
from tests.web.factories import make_server

pytest_plugins = ["tests.web.catalog_fixtures"]
CANARY = "hunter2-canary"


def test_a_sealed_text_comes_back_for_its_own_place_only(vault: Path) -> None:
    token = secrets.encrypt(CANARY, "server:7:password")

    assert secrets.decrypt(token, "server:7:password") == CANARY
    assert token.startswith("v1:") and CANARY not in token
    for place in ("server:8:password", "repository:7:credentials", ""):
        with pytest.raises(Tampered, match="another place"):
            secrets.decrypt(token, place)


def test_a_token_moved_to_another_row_is_refused(vault: Path, team: Team) -> None:
    ours, theirs = make_server(team), make_server(team, host="evil.example.com")
    secrets.encrypt_field(ours, "password", CANARY)
    theirs.password = ours.password

    assert secrets.decrypt_field(Server.objects.get(pk=ours.pk), "password") == CANARY
    with pytest.raises(Tampered):
        secrets.decrypt_field(theirs, "password")


@pytest.mark.parametrize("change", [lambda t: t[:-4], lambda t: t[:40] + "A" + t[41:]])
def test_a_changed_token_is_refused(vault: Path, change: object) -> None:
    token = secrets.encrypt(CANARY, "here")
    with pytest.raises(Tampered):
        secrets.decrypt(change(token), "here")  # type: ignore[operator]


@pytest.mark.parametrize("text", ["", "plain password", "v1:", "v1:abc", "v2:0:x", "enc:x"])
def test_what_is_not_a_token_is_never_taken_for_a_secret(vault: Path, text: str) -> None:
    with pytest.raises((Tampered, SecretsLocked)):
        secrets.decrypt(text, "here")


def test_without_the_key_file_everything_secret_is_locked_and_nothing_is_made(
    vault: Path, team: Team
) -> None:
    token = secrets.encrypt(CANARY, "here")
    path: Path = settings.CATALOG_KEYS_FILE
    path.unlink()

    assert secrets.is_locked()
    for act in (
        lambda: secrets.decrypt(token, "here"),
        lambda: secrets.encrypt(CANARY, "here"),
        lambda: make_keys(team),
        lambda: set_up(team="Operations"),
    ):
        with pytest.raises(SecretsLocked, match="cannot be read"):
            act()
    assert not path.exists()


def test_a_new_key_is_never_made_over_values_sealed_before(vault: Path, team: Team) -> None:
    secrets.encrypt_field(make_server(team), "password", CANARY)
    settings.CATALOG_KEYS_FILE.unlink()
    with pytest.raises(BadSetting, match="encrypted with a key"):
        secrets.create_key_file()

    Installation.objects.all().delete()  # the canary alone was lost
    with pytest.raises(BadSetting, match="encrypted with a key"):
        secrets.create_key_file()
    assert not settings.CATALOG_KEYS_FILE.exists()


def test_a_stray_key_neither_opens_nor_seals_and_is_named(vault: Path) -> None:
    key_id = secrets.encrypt(CANARY, "here").split(":")[1]
    settings.CATALOG_KEYS_FILE.write_text(Fernet.generate_key().decode())

    with pytest.raises(SecretsLocked, match=f"key {key_id} is missing"):
        secrets.encrypt(CANARY, "here")


def test_older_keys_of_the_file_still_open_and_the_newest_seals(vault: Path) -> None:
    path: Path = settings.CATALOG_KEYS_FILE
    old, first = secrets.encrypt(CANARY, "here"), path.read_text()
    path.write_text(f"# newest first\n{Fernet.generate_key().decode()}\n\n{first}")

    new = secrets.encrypt(CANARY, "here")
    assert secrets.decrypt(old, "here") == secrets.decrypt(new, "here") == CANARY
    assert old.split(":")[1] != new.split(":")[1]


def test_a_key_file_that_others_may_read_locks(vault: Path) -> None:
    settings.CATALOG_KEYS_FILE.chmod(0o640)
    with pytest.raises(SecretsLocked, match="other users") as caught:
        secrets.require_open()
    assert caught.value.hint.startswith("chmod 600")


def test_a_line_that_is_no_key_locks_and_is_not_quoted(vault: Path) -> None:
    settings.CATALOG_KEYS_FILE.write_text(CANARY)
    with pytest.raises(SecretsLocked) as caught:
        secrets.require_open()
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_catalog_never_set_up_seals_nothing(tmp_path: Path) -> None:
    with override_settings(CATALOG_KEYS_FILE=tmp_path / "keys"):
        with pytest.raises(SecretsLocked, match="never set up"):
            secrets.encrypt(CANARY, "here")
    assert not (tmp_path / "keys").exists()


def test_the_files_made_are_for_their_owner_only(vault: Path, keys: Path) -> None:
    for path in (settings.CATALOG_KEYS_FILE, keys):
        assert path.stat().st_mode & 0o777 == 0o600


def test_no_secret_stands_in_the_catalog_in_clear(vault: Path, keys: Path, team: Team) -> None:
    secrets.encrypt_field(make_server(team), "password", CANARY)
    dump = serializers.serialize("json", [*Server.objects.all(), *EncryptionKey.objects.all()])
    lines = [secrets.decrypt_field(row, "secret") for row in EncryptionKey.objects.all()]

    assert CANARY not in dump
    assert sum(bool(line) for line in lines) == 2  # the working key and the signing key
    assert not any(line and line in dump for line in lines)


def test_the_recovery_key_is_in_its_file_only(vault: Path, keys: Path, team: Team) -> None:
    recovery = [keyfile.encode(key) for key in keyfile.read(keys)]
    stored = [secrets.decrypt_field(row, "secret") for row in team.keys.all()]
    assert not any(line.startswith("COVET-X25519-SEC") for line in stored)
    assert any(line.startswith("COVET-X25519-SEC") for line in recovery)


def test_setting_up_twice_changes_nothing(vault: Path) -> None:
    first = set_up(team="Operations", owner="root", password="a long password")
    again = set_up(team="Others", owner="somebody")

    assert first.recovery_file and first.repository and first.owner == "root"
    assert (again.owner, again.password, again.recovery_file) == ("", "", None)
    assert Team.objects.count() == User.objects.count() == 1
    assert isinstance(keyfile.decode(_working_line(first.team)), RawKey)


def test_a_recovery_key_that_is_still_here_is_not_overwritten(
    vault: Path, keys: Path, other_team: Team
) -> None:
    before = keys.read_bytes()
    second = make_keys(other_team)
    assert second != keys and keys.read_bytes() == before


def _working_line(team: Team) -> str:
    return secrets.decrypt_field(team.keys.get(kind="raw"), "secret")
