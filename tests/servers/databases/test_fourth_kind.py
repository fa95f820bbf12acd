"""A kind of database that the product has not goes through every command of the engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, command_line
from tests.support.toy_kind import write_toy

KEY = ("--key-file", "working.key")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    made = command_line(tmp_path)
    return CommandLine(made.folder, module="tests.support.toy_command_line")


def test_every_command_works(cli: CommandLine) -> None:
    home, away = cli.local_repository(), cli.local_repository("away")
    source = write_toy(cli.folder / "shop.kv", rows=3)
    made = cli.json("backup", f"toy://{source}", "--repo", home, *KEY)
    assert [one["kind"] for one in cli.json("list", home)["backups"]] == ["toy"]
    tables = cli.json("show", home, made["label"], *KEY)["details"]["inventory"]["tables"]
    assert [(table["name"], table["rows"]) for table in tables] == [("pairs", 3)]
    contents = cli.json("list-tables", home, "latest", *KEY)["tables"]
    assert contents == [{"name": "pairs", "plain_bytes": source.stat().st_size}]
    for level in ("exists", "checksum", "sampled", "content", "restore"):
        cli.json("verify", home, "latest", "--level", level, *KEY)
    target = cli.folder / "restored.kv"
    restore = ("restore", home, "latest", "--as", f"toy://{target}", *KEY)
    checks = cli.json(*restore, "--check")["checks"]
    assert {check["level"] for check in checks} <= {"pass", "warning"}
    assert not target.exists()
    cli.json(*restore)
    assert target.read_bytes() == source.read_bytes()
    cli.json("copy", home, "latest", "--to", away)
    cli.json("delete", home, "latest")
    assert cli.json("list", home)["backups"] == []


def test_the_checks_and_the_restore_refuse_an_existing_file(cli: CommandLine) -> None:
    home = cli.local_repository()
    source = write_toy(cli.folder / "shop.kv", rows=3)
    cli.json("backup", f"toy://{source}", "--repo", home, *KEY)
    other = write_toy(cli.folder / "other.kv", rows=9)
    before = other.read_bytes()
    restore = ("restore", home, "latest", "--as", f"toy://{other}", *KEY)
    checks = cli.json(*restore, "--check", status=7)["checks"]
    assert [check["title"] for check in checks if check["level"] == "fail"] == ["Name"]
    cli.json(*restore, status=7)
    assert other.read_bytes() == before


def test_a_selection_is_refused(cli: CommandLine) -> None:
    home = cli.local_repository()
    source = write_toy(cli.folder / "shop.kv", rows=3)
    cli.json("backup", f"toy://{source}", "--repo", home, *KEY)
    cli.json("list-tables", home, "latest", "--table", "pairs", *KEY, status=2)
    target = cli.folder / "restored.kv"
    restore = ("restore", home, "latest", "--as", f"toy://{target}", "--table", "pairs", *KEY)
    refused = cli.json(*restore, status=2)
    assert "restored whole" in refused["error"]["message"] and not target.exists()


def test_damage_is_found_by_the_check_of_the_kind(cli: CommandLine) -> None:
    home = cli.local_repository()
    source = cli.folder / "shop.kv"
    source.write_bytes(b"key=value\n")
    cli.json("backup", f"toy://{source}", "--repo", home, *KEY)
    assert "no end mark" in str(cli.json("verify", home, "latest", *KEY, status=3))
