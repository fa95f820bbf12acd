"""Addresses are taken literally; whatever libpq would make of them beyond that is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from psycopg.conninfo import conninfo_to_dict

from covetbackup.core.databases.postgresql.server.connection import (
    PostgresSettings,
    conninfo,
    tool_environment,
)
from covetbackup.core.databases.postgresql.server.url import parse_url, to_url
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.secret import Secret, SecretFile


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://me@db/shop", PostgresSettings("db", "me", "shop")),
        ("postgres://me@db:6543/shop", PostgresSettings("db", "me", "shop", 6543)),
        ("postgresql://me@[::1]/shop", PostgresSettings("::1", "me", "shop")),
        (
            "postgresql://a%40b@db/host%3Dx%20port%3D1%0A%2F?sslmode=require",
            PostgresSettings("db", "a@b", "host=x port=1\n/", sslmode="require"),
        ),
        (
            "postgresql://me@:6543/shop?host=%2Frun%2Fpostgresql",
            PostgresSettings("/run/postgresql", "me", "shop", 6543),
        ),
        (
            "postgresql://me@db/shop?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            PostgresSettings("db", "me", "shop", sslmode="verify-full", sslrootcert="/etc/ca.pem"),
        ),
    ],
)
def test_an_address_is_read(url: str, expected: PostgresSettings) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/shop",
        "postgresql://me@db/",
        "postgresql://me@db",
        "postgresql://me@/shop",
        "postgresql://me@a,b/shop",
        "postgresql://me@%2Frun%2Fpostgresql/shop",
        "postgresql://me@db/shop?host=/run",
        "postgresql://me@/shop?host=elsewhere",
        "postgresql://me@db:99999/shop",
        "postgresql://me@db:0x1/shop",
        "postgresql://me@db/shop#part",
        "postgresql://me@db/shop%00",
        "postgresql://me@db/sh\nop",
        "postgresql://me@db/shop?sslmode=no",
        "postgresql://me@db/shop?service=x",
        "postgresql://me@db/shop?passfile=/etc/shadow",
        "postgresql://me@db/shop?options=-cx",
        "postgresql://me@db/shop?sslmode=require&sslmode=disable",
        "mysql://me@db/shop",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(BadSetting):
        parse_url(url)


@pytest.mark.parametrize(
    "url", ["postgresql://me:canary@db/shop", "postgresql://me@db/shop?password=canary"]
)
def test_a_password_in_an_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_url(url)
    assert "--password-file" in caught.value.hint
    assert "canary" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1))
def test_a_database_name_for_a_tool_is_nothing_but_a_name(name: str) -> None:
    parsed = conninfo_to_dict(conninfo(name))
    assert parsed.pop("dbname") == name
    assert all(key.startswith(("keepalives", "tcp_user_timeout")) for key in parsed)


def test_a_password_travels_in_a_file_with_its_signs_escaped() -> None:
    settings = PostgresSettings("db", "me", "shop")
    environment = tool_environment(settings, Secret("a:b\\c"), application="x", major=15)
    file = environment["PGPASSFILE"]
    assert isinstance(file, SecretFile)
    assert file.content.reveal() == "*:*:*:*:a\\:b\\\\c\n"
    with pytest.raises(BadSetting):
        tool_environment(settings, Secret("a\nb"), application="x", major=15)


@pytest.mark.parametrize(("major", "known"), [(13, False), (16, False), (17, True)])
def test_only_limits_that_the_server_knows_are_lifted(major: int, known: bool) -> None:
    settings = PostgresSettings("db", "me", "shop")
    options = tool_environment(settings, None, application="x", major=major)["PGOPTIONS"]
    assert isinstance(options, str)
    assert ("transaction_timeout=0" in options.replace("idle_in_transaction", "")) is known
    assert "statement_timeout=0" in options


@pytest.mark.parametrize(
    "settings",
    [
        PostgresSettings("db.example.org", "me", "shop"),
        PostgresSettings("::1", "a@b:c", "/sh?op#%", 6000, "verify-full", "/a file.pem"),
        PostgresSettings("/run/postgresql", "me", "shöp\n"),
    ],
)
def test_what_is_written_reads_back(settings: PostgresSettings) -> None:
    assert parse_url(to_url(settings)) == settings
