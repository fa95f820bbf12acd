"""The command line end to end: real databases, local and S3 repositories, stock tools."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import CommandLine, command_line, s3_credentials, s3_url
from tests.support.postgres_server import PostgresServer
from tests.support.processes import descendants, is_running
from tests.support.s3 import S3Endpoint

KEY = ("--key-file", "working.key")


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    return command_line(tmp_path)


@pytest.fixture
def shop(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT)")
        rows = ((f"order {number}" * 20,) for number in range(5_000))
        connection.executemany("INSERT INTO orders (note) VALUES (?)", rows)
    connection.close()
    return f"sqlite:///{tmp_path}/shop.db"


@pytest.fixture
def postgres_shop(postgres_server: PostgresServer, postgres_database: str) -> str:
    postgres_server.execute(
        postgres_database,
        "CREATE TABLE orders (id int PRIMARY KEY, note text)",
        "INSERT INTO orders SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 20000) n",
    )
    return postgres_server.url(postgres_database)


def test_a_sqlite_database_goes_through_every_command(cli: CommandLine, shop: str) -> None:
    home, away = cli.local_repository(), cli.local_repository("away")
    target = f"sqlite:///{cli.folder}/restored.db"

    made = cli.json("backup", shop, "--repo", home, *KEY)
    label = made["label"]
    assert [entry["label"] for entry in cli.json("list", home)["backups"]] == [label]
    details = cli.json("show", home, label, *KEY)["details"]
    assert [(t["name"], t["rows"]) for t in details["inventory"]["tables"]] == [("orders", 5000)]
    for level in ("exists", "checksum", "sampled", "content", "restore"):
        cli.json("verify", home, label, "--level", level, *KEY)
    cli.json("restore", home, "latest", "--as", target, *KEY)
    assert dump(cli.folder / "restored.db") == dump(cli.folder / "shop.db")
    cli.json("copy", home, label, "--to", away)
    cli.run("keygen", "--working", "new.key", "--recovery", "new-recovery.key")
    assert cli.json("rotate", home, *KEY, "--new-key-file", "new.key")["failed"] == 0
    cli.json("verify", home, label, "--key-file", "new.key")
    cli.json("verify", home, label, *KEY, status=4)
    cli.json("verify", away, label, "--key-file", "recovery.key")
    cli.json("delete", home, label)
    assert cli.json("list", home)["backups"] == []
    cli.json("cleanup", home, "--older-than", "0.001")


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def test_a_database_is_replaced_only_when_asked_and_is_kept(cli: CommandLine, shop: str) -> None:
    home = cli.local_repository()
    cli.json("backup", shop, "--repo", home, *KEY)
    before = dump(cli.folder / "shop.db")
    with sqlite3.connect(cli.folder / "shop.db") as connection:
        connection.execute("DELETE FROM orders")
    connection.close()
    restore = ("restore", home, "latest", *KEY)
    assert cli.json(*restore, "--as", shop, status=7)["error"]["code"] == "TargetNotEmpty"
    retained = cli.json(*restore, "--replace", shop)["retained_as"]
    assert dump(cli.folder / "shop.db") == before
    assert len(dump(cli.folder / retained)) < len(before)


def test_postgresql_to_s3_and_back_into_a_new_database(
    cli: CommandLine,
    rclone_s3: S3Endpoint,
    postgres_server: PostgresServer,
    postgres_database: str,
    postgres_shop: str,
) -> None:
    password = cli.file("password", postgres_server.password.reveal() + "\n")
    repository = s3_url(rclone_s3)
    storage = ("--s3-credentials", cli.file("s3", s3_credentials(rclone_s3)))
    cli.run("init", repository, *storage)
    target = postgres_server.url(f"{postgres_database}_new")

    cli.json(
        "backup", postgres_shop, "--repo", repository, *storage, *KEY, "--password-file", password
    )
    cli.json("verify", repository, "latest", *storage, *KEY)
    restore = ("restore", repository, "latest", *storage, *KEY, "--as", target)
    cli.json(*restore, "--password-file", password)

    query = "SELECT count(*), sum(hashtext(note)) FROM orders"
    expected = postgres_server.rows(postgres_database, query)
    assert postgres_server.rows(f"{postgres_database}_new", query) == expected
    answer = cli.json(*restore, "--password-file", password, status=7)
    assert answer["error"]["code"] == "TargetNotEmpty"
    drill = ("verify", repository, "latest", *storage, *KEY, "--level", "restore")
    scratch = ("--scratch", postgres_server.url("postgres"), "--password-file", password)
    before = postgres_server.databases()
    cli.json(*drill, *scratch)
    assert postgres_server.databases() == before
    assert rclone_s3.unfinished_uploads() == []


def test_a_repository_that_is_away_does_not_keep_another_from_the_backup(
    cli: CommandLine, shop: str
) -> None:
    home, away = cli.local_repository(), f"file://{cli.folder}/unmounted"

    made = cli.json("backup", shop, "--repo", away, "--repo", home, *KEY, status=5)

    assert made["stored_in"] == [home]
    assert list(made["failures"]) == [away]
    assert [entry["label"] for entry in cli.json("list", home)["backups"]] == [made["label"]]


def test_the_parts_of_a_dump_are_one_line_and_all_of_them_in_json(
    cli: CommandLine, postgres_server: PostgresServer, postgres_database: str, postgres_shop: str
) -> None:
    repository = cli.local_repository()
    postgres_server.execute(postgres_database, "CREATE TABLE other AS TABLE orders")
    password = cli.file("password", postgres_server.password.reveal())
    cli.run("backup", postgres_shop, "--repo", repository, *KEY, "--password-file", password)
    shown = cli.run("show", repository, "latest", *KEY).splitlines()
    members = [member["name"] for member in cli.json("show", repository, "latest", *KEY)["members"]]
    parts = [name for name in members if name.startswith("dump.pgc.")]
    assert len(parts) > 1
    (line,) = [line for line in shown if "dump.pgc" in line]
    assert line.startswith(f"member dump.pgc in {len(parts)} parts: ")


def test_cat_feeds_stock_pg_restore(
    cli: CommandLine, postgres_server: PostgresServer, postgres_shop: str
) -> None:
    repository = cli.local_repository()
    password = cli.file("password", postgres_server.password.reveal())
    cli.run("backup", postgres_shop, "--repo", repository, *KEY, "--password-file", password)

    with cli.start("cat", repository, "latest", "dump.pgc", *KEY) as cat:
        listed = subprocess.run(
            [postgres_server.binaries / "pg_restore", "-l"],
            stdin=cat.stdout,
            capture_output=True,
            check=True,
        )
        assert cat.stdout is not None and cat.stderr is not None
        cat.stdout.close()
        complaint = cat.stderr.read()

    assert b"TABLE DATA public orders" in listed.stdout
    assert complaint == b""
    assert cat.returncode in (0, 141)


def test_the_reader_stored_in_the_repository_feeds_stock_pg_restore(
    cli: CommandLine, postgres_server: PostgresServer, postgres_database: str, postgres_shop: str
) -> None:
    repository = cli.local_repository()
    password = cli.file("password", postgres_server.password.reveal())
    made = cli.json(
        "backup", postgres_shop, "--repo", repository, *KEY, "--password-file", password
    )
    place = cli.folder / "backups"

    with (cli.folder / "dump.pgc").open("wb") as out:
        subprocess.run(
            [
                *(sys.executable, "-I", place / "covet_open.py"),
                *(place / "b" / made["label"], "dump.pgc"),
                *("--key-file", cli.folder / "recovery.key"),
            ],
            stdout=out,
            check=True,
        )
    copy = postgres_server.create_database(f"{postgres_database}_by_hand")
    postgres_server.tool("pg_restore", "-e", "-d", copy, str(cli.folder / "dump.pgc"))

    query = "SELECT count(*), sum(hashtext(note)) FROM orders"
    assert postgres_server.rows(copy, query) == postgres_server.rows(postgres_database, query)


@pytest.mark.parametrize(
    ("codec", "tool"), [("zstd", "zstd"), ("gzip", "gzip"), ("bzip2", "bzip2"), ("lzma", "xz")]
)
def test_stock_tools_open_unencrypted_objects(
    cli: CommandLine, shop: str, codec: str, tool: str
) -> None:
    repository = cli.local_repository()
    options = ("--cipher", "none", "--codec", codec, "--volume-size", "5000")
    made = cli.json("backup", shop, "--repo", repository, *options, *KEY)
    folder = cli.folder / "backups" / "b" / made["label"]
    volumes = sorted(folder.glob("main.sqlite.[gbxz]*"))
    assert len(volumes) > 2

    packed = b"".join(volume.read_bytes() for volume in volumes)
    plain = subprocess.run([tool, "-dc"], input=packed, capture_output=True, check=True).stdout

    (cli.folder / "by-hand.db").write_bytes(plain)
    assert dump(cli.folder / "by-hand.db") == dump(cli.folder / "shop.db")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_cancels_and_leaves_nothing(
    cli: CommandLine, postgres_server: PostgresServer, postgres_shop: str, number: signal.Signals
) -> None:
    repository = cli.local_repository()
    password = cli.file("password", postgres_server.password.reveal())
    command = ("backup", postgres_shop, "--repo", repository, *KEY, "--password-file", password)
    with cli.start(*command, "--codec", "lzma:9") as process:
        children = wait_for(process, "pg_dump")
        process.send_signal(number)
        _, err = process.communicate(timeout=15)

    assert process.returncode == 130, err
    assert not any(is_running(child) for child in children)
    assert {p.name for p in (cli.folder / "backups").rglob("*") if p.is_file()} == {
        "covet.json",
        "covet_open.py",
        "RECOVERY.md",
    }


def wait_for(process: subprocess.Popen[bytes], name: str) -> list[int]:
    """The processes under `process`, as soon as `name` is one of them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = descendants(process.pid)
        if name in found.values():
            return list(found)
        time.sleep(0.02)
    raise AssertionError(f"{name} was never started")


def test_an_error_of_cat_never_goes_into_the_bytes(cli: CommandLine, shop: str) -> None:
    repository = cli.local_repository()
    cli.run("backup", shop, "--repo", repository, *KEY)

    for option in ((), ("--json",)):
        assert cli.run("cat", repository, "latest", "no such", *KEY, *option, status=3) == ""


def test_a_reader_that_leaves_early_is_no_fault(cli: CommandLine, shop: str) -> None:
    repository = cli.local_repository()
    cli.run("backup", shop, "--repo", repository, *KEY)

    with cli.start("list", repository) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()

    assert (process.returncode, complaint) == (141, b"")


def test_names_are_shown_in_any_encoding(cli: CommandLine) -> None:
    with sqlite3.connect(cli.folder / "odd.db") as connection:
        connection.execute('CREATE TABLE "\U0001f600\x1b[31m" (n)')
    connection.close()
    repository = cli.local_repository()
    cli.run("backup", f"sqlite:///{cli.folder}/odd.db", "--repo", repository, *KEY)

    details = cli.json("show", repository, "latest", *KEY)["details"]

    assert details["inventory"]["tables"][0]["name"] == "\U0001f600\x1b[31m"
    assert cli.run("show", repository, "latest", *KEY, "--json").isascii()
    assert "\x1b" not in cli.run("show", repository, "latest", *KEY)


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (("list", "file:///nowhere/at/all"), 2, "BadSetting"),
        (("list", "ftp://host/path"), 2, "BadSetting"),
        (("backup", "mongodb://host/db", "--repo", "{repo}", *KEY), 2, "BadSetting"),
        (("backup", "sqlite:////not/there.db", "--repo", "{repo}", *KEY), 6, "DatabaseUnavailable"),
        (("backup", "{shop}", "--repo", "{repo}"), 2, "BadSetting"),
        (("backup", "{shop}", "--repo", "{repo}", *KEY, "--codec", "rar"), 2, "BadSetting"),
        (("backup", "{shop}", "--repo", "{repo}", "--key-file", "no.key"), 2, "BadSetting"),
        (("backup", "{shop}", "--repo", "{repo}", *KEY, "--workers", "-1"), 2, "BadSetting"),
        (("backup", "{shop}", "--repo", "{repo}", *KEY, "--volume-size", "-5"), 2, "BadSetting"),
        (("backup", "{shop}", "--repo", "{repo}", "--repo", "{repo}/", *KEY), 2, "BadSetting"),
        (("rotate", "{repo}", *KEY), 2, "BadSetting"),
        (("cleanup", "{repo}", "--older-than", "nan"), 2, "BadSetting"),
        (("cleanup", "{repo}", "--older-than", "1e30"), 2, "BadSetting"),
        (("show", "{repo}", "latest", *KEY), 2, "BadSetting"),
        (("keygen", "--working", "working.key", "--recovery", "x.key"), 2, "BadSetting"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_and_a_status(
    cli: CommandLine, shop: str, arguments: tuple[str, ...], status: int, code: str
) -> None:
    repository = cli.local_repository()

    given = [argument.format(repo=repository, shop=shop) for argument in arguments]
    answer = cli.json(*given, status=status)

    assert answer["error"]["code"] == code
    assert answer["error"]["message"]


def test_a_table_goes_beside_the_living_one_and_its_rows_into_it(
    cli: CommandLine, postgres_server: PostgresServer, postgres_database: str, postgres_shop: str
) -> None:
    home, name = cli.local_repository(), postgres_database
    password = ("--password-file", str(postgres_server.directory / "password"))
    cli.json("backup", postgres_shop, "--repo", home, *password, *KEY)
    there = (home, "latest", "--into", postgres_shop, *password, *KEY, "--table", "public.orders")
    cli.json("restore", *there, status=7)
    cli.json("restore", *there, "--rename-schema", "public=before")
    assert postgres_server.rows(name, "SELECT count(*) FROM before.orders") == [(20_000,)]
    postgres_server.execute(name, "DELETE FROM orders WHERE id < 9000")
    refused = cli.json("restore", *there, "--data-only", status=1)
    assert "rows of the backup there already" in refused["error"]["hint"]
    assert postgres_server.rows(name, "SELECT count(*) FROM orders") == [(11_001,)]
    postgres_server.execute(name, "TRUNCATE orders")
    made = cli.json("restore", *there, "--data-only")
    assert [table["rows"] for table in made["inventory"]["tables"]] == [20_000]
    assert postgres_server.rows(name, "SELECT count(*) FROM orders") == [(20_000,)]
    cli.json("restore", *there, "--rename-schema", "public", status=2)


def test_checks_before_a_restore_touch_nothing_and_tell_the_status(
    cli: CommandLine, shop: str, postgres_shop: str, postgres_server: PostgresServer
) -> None:
    home = cli.local_repository()
    cli.json("backup", shop, "--repo", home, "--name", "file", *KEY)
    target = f"sqlite:///{cli.folder}/restored.db"
    found = cli.json("restore", home, "latest", "--as", target, "--check", *KEY)
    assert {check["title"]: check["level"] for check in found["checks"]}["Objects"] == "pass"
    assert not (cli.folder / "restored.db").exists()
    taken = cli.run("restore", home, "latest", "--as", shop, "--check", *KEY, status=7)
    assert "fail     Name: " in taken and "cannot be restored" in taken
    password = cli.file("password", postgres_server.password.reveal())
    label = cli.json("backup", postgres_shop, "--repo", home, "--password-file", password, *KEY)[
        "label"
    ]
    databases = postgres_server.databases()
    options = ("--password-file", password, "--table", "public.orders", *KEY)
    checked = cli.json(
        "restore", home, label, "--as", postgres_server.url("copy"), "--check", *options
    )
    details = {check["title"]: check["detail"] for check in checked["checks"]}
    assert details["Selection"].startswith("1 of 1 table: 20,000 rows")
    assert details["Name"] == "copy does not exist yet."
    replacing = ("restore", home, label, "--replace", postgres_shop, "--check", *options)
    assert "Options: Some tables never take the place" in cli.run(*replacing, status=7)
    assert postgres_server.databases() == databases


def test_what_the_server_refuses_is_left_out_only_if_that_is_said(
    cli: CommandLine, postgres_server: PostgresServer, postgres_database: str, postgres_shop: str
) -> None:
    postgres_server.execute(
        postgres_database,
        "CREATE FUNCTION picky() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN IF"
        " current_setting(''application_name'') LIKE ''covetbackup%'' THEN RAISE ''not for you'';"
        " END IF; RETURN 1; END'",
        "CREATE INDEX choosy ON orders ((id + picky()))",
    )
    password = ("--password-file", str(postgres_server.directory / "password"))
    home = cli.local_repository()
    cli.json("backup", postgres_shop, "--repo", home, *password, *KEY)
    target = postgres_server.url(f"{postgres_database}_copy")
    there = (home, "latest", "--as", target, *password, *KEY)
    refused = cli.json("restore", *there, status=1)
    assert "--skip-failing" in refused["error"]["hint"]
    [warning] = cli.json("restore", *there, "--skip-failing")["warnings"]
    assert warning.startswith("left out, as the server refused it: index public.choosy")
    postgres_server.execute("postgres", f"DROP DATABASE {postgres_database}_copy")
    said = cli.run("restore", *there, "--skip-failing")
    assert "as the manifest says, apart from what the warnings say" in said
