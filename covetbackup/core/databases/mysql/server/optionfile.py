"""The option file with the login of a client program, readable by this user only.

It is given as the first argument. With it the program reads no other file, so that options that an
administrator set for other dumps ("where", "skip-routines") cannot thin out ours.
"""

from __future__ import annotations

from collections.abc import Iterable

from covetbackup.core.databases.mysql.server.flavour import Version
from covetbackup.core.databases.mysql.server.settings import MysqlSettings
from covetbackup.core.errors import BadSetting
from covetbackup.core.stream.secret import Secret, SecretFile

_ESCAPES = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"'})


def option_file(
    settings: MysqlSettings,
    password: Secret | None,
    *,
    client: Version,
    encrypted: bool,
    options: Iterable[tuple[str, str]] = (),
) -> SecretFile:
    """Return the option file for one program of version `client`.

    `encrypted` is whether the driver's own connection was: the programs have no "prefer". `options`
    are further ones for the dump program, which may be too many for arguments.
    """
    lines = ["[client]", *map(_line, _login(settings, password))]
    lines += _tls(settings, client, encrypted)
    lines += ["[mysqldump]", *map(_line, options)]
    content = "\n".join(lines) + "\n"
    return SecretFile("mysql-options", Secret(content), prefix="--defaults-file=")


def _login(settings: MysqlSettings, password: Secret | None) -> Iterable[tuple[str, str]]:
    yield "user", settings.user
    if password is not None:
        yield "password", password.reveal()
    if settings.socket:
        yield "socket", settings.socket
        yield "protocol", "SOCKET"
        return
    # A certificate is made out to the name, which only verify-full looks at.
    by_host = settings.sslmode == "verify-full" or not settings.address
    yield "host", settings.host if by_host else settings.address
    yield "port", str(settings.port)
    yield "protocol", "TCP"


def _tls(settings: MysqlSettings, client: Version, encrypted: bool) -> list[str]:
    ca = [_line(("ssl-ca", settings.sslrootcert))] if settings.sslrootcert else []
    verify = settings.sslmode.startswith("verify")
    if not client.is_mariadb:
        modes = {"verify-ca": "VERIFY_CA", "verify-full": "VERIFY_IDENTITY"}
        plain = "REQUIRED" if encrypted else "DISABLED"
        return [*ca, f"ssl-mode={modes.get(settings.sslmode, plain)}"]
    if not encrypted:
        return ["skip-ssl"]
    # MariaDB's client cannot check the chain without the name.
    check = "ssl-verify-server-cert" if verify else "disable-ssl-verify-server-cert"
    return [*ca, "ssl", check]


def _line(option: tuple[str, str]) -> str:
    name, value = option
    if "\0" in value:
        raise BadSetting(f"the MySQL {name} holds a zero byte")
    return f'{name}="{value.translate(_ESCAPES)}"'
