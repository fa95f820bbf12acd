"""MySQL addresses, and what client programs are told of them."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.mysql.server.flavour import version_of
from covetbackup.core.databases.mysql.server.optionfile import option_file
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.databases.mysql.server.url import parse_url, to_url
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.secret import Secret

MARIADB, MYSQL = version_of("10.11.19-MariaDB"), version_of("8.4.3")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mysql://u@h/d", MysqlSettings("h", "u", "d")),
        ("mariadb://u@h:13306/d", MysqlSettings("h", "u", "d", port=13306)),
        ("mysql://a%40b@h/d%2Fe%3F", MysqlSettings("h", "a@b", "d/e?")),
        ("mysql://u@[::1]/d", MysqlSettings("::1", "u", "d")),
        ("mysql://u@/d?socket=/run/s", MysqlSettings("", "u", "d", socket="/run/s")),
        (
            "mysql://u@h/d?sslmode=verify-full&sslrootcert=/ca.pem",
            MysqlSettings("h", "u", "d", sslmode="verify-full", sslrootcert="/ca.pem"),
        ),
    ],
)
def test_an_address_is_read(url: str, expected: MysqlSettings) -> None:
    assert parse_url(url) == expected


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:secret@h/d",
        "mysql://u@h/d?password=secret",
        "mysql://h/d",
        "mysql://u@h/",
        "mysql://u@/d",
        "mysql://u@h/d?socket=/run/s",
        "mysql://u@/d?socket=run/s",
        "mysql://u@h:0/d",
        "mysql://u@h:port/d",
        "mysql://u@h/d#x",
        "mysql://u@h/d?init_command=x",
        "mysql://u@h/d?sslmode=maybe",
        "mysql://u@h/d?sslmode=verify-full",
        "mysql://u@h/d?sslmode=require&sslmode=disable",
        "mysql://u@h/d\n",
        "mysql://u@h/mysql",
        "mysql://u@h/Performance_Schema",
        "postgresql://u@h/d",
    ],
)
def test_anything_else_is_refused_and_no_password_repeated(url: str) -> None:
    with pytest.raises(BadSetting) as caught:
        parse_url(url)
    assert "secret" not in f"{caught.value.message} {caught.value.hint}"


def _lines(settings: MysqlSettings, client, *, encrypted: bool = False, options=()) -> list[str]:
    file = option_file(
        settings, Secret('p"\\\n#'), client=client, encrypted=encrypted, options=options
    )
    assert file.argument(5) == "--defaults-file=/proc/self/fd/5"
    return file.content.reveal().splitlines()


def test_values_are_quoted_for_the_option_file() -> None:
    lines = _lines(MysqlSettings("h", "u#", "d"), MARIADB, options=[("ignore-table", "d.\n`")])
    assert 'password="p\\"\\\\\\n#"' in lines
    assert 'user="u#"' in lines
    assert lines[lines.index("[mysqldump]") + 1] == 'ignore-table="d.\\n`"'


@pytest.mark.parametrize(
    ("sslmode", "encrypted", "mariadb", "mysql"),
    [
        ("disable", False, ["skip-ssl"], ["ssl-mode=DISABLED"]),
        ("prefer", False, ["skip-ssl"], ["ssl-mode=DISABLED"]),
        ("prefer", True, ["ssl", "disable-ssl-verify-server-cert"], ["ssl-mode=REQUIRED"]),
        ("require", True, ["ssl", "disable-ssl-verify-server-cert"], ["ssl-mode=REQUIRED"]),
        ("verify-ca", True, ["ssl", "ssl-verify-server-cert"], ["ssl-mode=VERIFY_CA"]),
        ("verify-full", True, ["ssl", "ssl-verify-server-cert"], ["ssl-mode=VERIFY_IDENTITY"]),
    ],
)
def test_the_programs_encrypt_as_the_driver_did(
    sslmode: str, encrypted: bool, mariadb: list[str], mysql: list[str]
) -> None:
    authority = "/ca.pem" if sslmode.startswith("verify") else ""
    settings = MysqlSettings("h", "u", "d", sslmode=sslmode, sslrootcert=authority)
    for client, expected in ((MARIADB, mariadb), (MYSQL, mysql)):
        lines = [line for line in _lines(settings, client, encrypted=encrypted) if "ssl" in line]
        assert [line for line in lines if not line.startswith("ssl-ca=")] == expected
        assert ('ssl-ca="/ca.pem"' in lines) == bool(authority)


def test_a_known_address_is_connected_to_unless_the_name_is_verified() -> None:
    settings = MysqlSettings("db.example.org", "u", "d", address="192.0.2.1")
    assert 'host="192.0.2.1"' in _lines(settings, MARIADB)
    verified = MysqlSettings(
        "db.example.org",
        "u",
        "d",
        address="192.0.2.1",
        sslmode="verify-full",
        sslrootcert="/ca.pem",
    )
    assert 'host="db.example.org"' in _lines(verified, MARIADB, encrypted=True)


@pytest.mark.parametrize(
    "settings",
    [
        MysqlSettings("db.example.org", "me", "shop"),
        MysqlSettings("::1", "a@b:c", "/sh?op#%", 6000, "", "verify-ca", "/a file.pem"),
        MysqlSettings("", "me", "shöp\n", socket="/run/mysqld/mysqld.sock"),
    ],
)
def test_what_is_written_reads_back(settings: MysqlSettings) -> None:
    assert parse_url(to_url(settings)) == settings
