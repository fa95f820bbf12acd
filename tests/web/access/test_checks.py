"""`covetbackup check`: each wrong setting is named, with what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from covetbackup import checks
from covetbackup.env import Environment


@pytest.fixture(autouse=True)
def good_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, setting in (("secret-key", "SECRET_KEY_FILE"), ("keys", "CATALOG_KEYS_FILE")):
        (tmp_path / name).write_text("0123456789" * 5)
        (tmp_path / name).chmod(0o600)
        monkeypatch.setattr(settings, setting, tmp_path / name)
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path)


def ids(messages: list[Any]) -> list[str]:
    assert all(message.hint for message in messages)
    return [message.id.removeprefix("covetbackup.") for message in messages]


def test_good_settings_are_not_complained_about() -> None:
    assert ids(checks.check_environment()) == []
    assert ids(checks.check_files()) == []
    assert ids(checks.check_site()) == []
    assert ids(checks.check_queue()) == []


def test_every_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {"COVET_A": "x", "COVET_B": "maybe", "COVET_C": "300.1.1.1", "COVET_D": "/none"}
    environment = Environment(wrong | {"DATABASE_URL": "mysql://x"})
    environment.number("COVET_A", 1, least=1, most=9)
    environment.flag("COVET_B")
    environment.networks("COVET_C")
    environment.file("COVET_D")
    environment.catalog("DATABASE_URL", Path("/none"))
    monkeypatch.setattr(settings, "ENV", environment)
    messages = checks.check_environment()
    assert ids(messages) == ["E001"] * 5
    assert [message.msg.split(":")[0] for message in messages] == [*wrong, "DATABASE_URL"]


def test_a_missing_key_file_is_an_error_and_nothing_makes_a_new_one(tmp_path: Path) -> None:
    (tmp_path / "secret-key").unlink()
    assert ids(checks.check_files()) == ["E003"]
    assert not (tmp_path / "secret-key").exists()


def test_a_short_key_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("short\n")
    assert ids(checks.check_files()) == ["E004"]


def test_files_that_others_can_read_are_named(tmp_path: Path) -> None:
    for name in ("secret-key", "keys"):
        (tmp_path / name).chmod(0o644)
    assert ids(checks.check_files()) == ["W002", "W003"]


def test_without_catalog_keys_the_dashboard_starts(tmp_path: Path) -> None:
    (tmp_path / "keys").unlink()
    [message] = checks.check_files()
    assert message.id == "covetbackup.W003"
    assert not message.is_serious()


def test_a_folder_that_is_missing_or_open_to_all_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o777)
    assert ids(checks.check_files()) == ["W001"]
    monkeypatch.setattr(settings, "VAR_DIR", tmp_path / "none")
    assert ids(checks.check_files()) == ["E002"]


@pytest.mark.parametrize(
    ("url", "hosts", "found"),
    [
        ("http://127.0.0.1:8000", ["127.0.0.1"], []),
        ("http://[::1]:8000", ["[::1]"], []),
        ("https://backups.example.com", ["backups.example.com"], []),
        ("https://backups.example.com", ["127.0.0.1"], ["W006"]),
        ("https://backups.example.com", ["*"], ["W005"]),
        ("http://backups.example.com", ["backups.example.com"], ["W004"]),
        ("backups.example.com", ["backups.example.com"], ["E005"]),
        ("https://backups.example.com/covet", ["backups.example.com"], ["E005"]),
        ("", [], ["E005"]),
    ],
)
def test_the_address_of_the_site_is_looked_at(
    url: str, hosts: list[str], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "SITE_URL", url)
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", hosts)
    assert ids(checks.check_site()) == found


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"timeout": 120}, ["E007"]),
        ({"retry": 30}, ["E007"]),
        ({"ack_failures": False}, ["E006"]),
        ({"max_attempts": 0}, ["E006"]),
        ({"catch_up": True}, ["E006"]),
    ],
)
def test_values_that_would_lose_or_double_jobs_are_errors(
    change: dict[str, Any], found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "Q_CLUSTER", settings.Q_CLUSTER | change)
    assert ids(checks.check_queue()) == found


def test_client_programs_are_listed_with_their_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("pg_dump", "pg_dumpall", "pg_restore"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 99.1'\n")
        (tmp_path / program).chmod(0o755)
    for program in ("mariadb-dump", "mariadb"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'mariadb from 98.7.6-MariaDB, client 1'\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    first, second = checks.check_clients()
    assert f"99.1 in {tmp_path}" in first.msg
    assert f"MariaDB 98.7.6 in {tmp_path}" in second.msg


def test_no_client_programs_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("postgresql", "mysql"):
        engine = f"covetbackup.core.databases.{kind}.engine"
        monkeypatch.setattr(f"{engine}.find_clients", lambda: [])
    assert ids(checks.check_clients()) == ["W007"]
