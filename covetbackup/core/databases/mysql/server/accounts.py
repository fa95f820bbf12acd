"""Accounts of a backup that its database needs, created where they are missing.

Those are the definers of what is in the database, and whoever has rights on it, with those rights
alone: an account that may do anything on one server is not made so on another. Whatever exists
stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

import pymysql
from pymysql.constants import ER

from covetbackup.core.databases.mysql.backup.privileges import covers
from covetbackup.core.databases.mysql.server.connection import Connection, code_of, quoted, text_of

_QUOTED = r"(?:`(?:[^`]|``)*`|'(?:[^'\\]|\\.|'')*')"
_ACCOUNT = rf"(?P<account>{_QUOTED}(?:@{_QUOTED})?)"
_STATEMENT = re.compile(rf"(?:--[^\n]*\n|\s+)|(?P<statement>(?:{_QUOTED}|[^;`'])+);", re.DOTALL)
_CREATE = re.compile(rf"CREATE (?P<kind>USER|ROLE) {_ACCOUNT}(?P<rest>.*)", re.DOTALL)
_NAMED = rf"{_QUOTED}(?:@{_QUOTED})?"
_ROLES = rf"(?P<roles>{_NAMED}(?:,\s*{_NAMED})*)"
_DEFAULTS = re.compile(rf" DEFAULT ROLE {_ROLES}")
_SET_DEFAULT = re.compile(rf"SET DEFAULT ROLE {_ROLES} FOR {_ACCOUNT}", re.DOTALL)
_RIGHTS = re.compile(
    rf"GRANT (?P<what>.+?) ON (?P<kind>(?:TABLE |FUNCTION |PROCEDURE |PACKAGE |PACKAGE BODY )?)"
    rf"(?P<where>\S.*?) TO {_ACCOUNT}(?P<rest>.*)",
    re.DOTALL,
)
_GIVEN = re.compile(rf"GRANT {_ROLES} TO {_ACCOUNT}", re.DOTALL)
_PLACE = re.compile(r"(?P<database>`(?:[^`]|``)*`|\*)\.(?P<object>.*)", re.DOTALL)
_LITERAL = re.compile(r"(?:'(?:[^'\\]|\\.|'')*'|0x[0-9A-Fa-f]+)", re.DOTALL)


@dataclass(slots=True)
class Account:
    """`quoted` is its name in a statement, as those of its roles are: `roles`, and of them
    `defaults`. `grants` are on the database alone; `elsewhere` counts the others."""

    quoted: str
    created: str
    grants: list[str] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    elsewhere: int = 0


def create_missing(
    connection: Connection, script: str, *, original: str, target: str, definers: Collection[str]
) -> list[str]:
    """Create what of `script` (users.sql) belongs to the database `original` and is missing here,
    with its rights on `target`. Returns what a person should know, a line each: no more than names
    and the server's words, and of no statement the secret in it."""
    try:
        known = _known(connection)
    except pymysql.err.Error as error:
        return [f"no accounts were created, for they could not be listed: {text_of(error)}"]
    accounts = read_accounts(script, original, target)
    wanted = _wanted(accounts, definers)
    missing = {name: accounts[name] for name in accounts if name in wanted and name not in known}
    lines = [f"account {name} is in use but not in the backup" for name in sorted(wanted)
             if name not in accounts and name not in known]  # fmt: skip
    created: dict[str, Account] = {}
    for name, account in missing.items():
        failed = _tried(connection, name, account.created)
        lines += failed or [f"account {name} was created"]
        if not failed:  # else a MariaDB might make it for the sake of a grant, without a password
            created[name] = account
    for name, account in created.items():
        for statement in _grants(connection, account, created):
            lines += _tried(connection, name, statement)
        more = account.elsewhere + len(account.roles.keys() - created.keys())
        if more:
            lines.append(f"account {name} has {more} more grants in users.sql, which are not on"
                         " this database, or of roles that were not created here")  # fmt: skip
    return lines


def _grants(connection: Connection, account: Account, created: Collection[str]) -> Iterator[str]:
    """Of roles only those `created` here: another one of that name may do anything."""
    yield from account.grants
    for name, role in account.roles.items():
        if name in created:
            yield f"GRANT {role} TO {account.quoted}"
    defaults = [role for name, role in account.defaults.items() if name in created]
    if defaults:
        towards = "FOR" if connection.version.is_mariadb else "TO"
        yield f"SET DEFAULT ROLE {', '.join(defaults)} {towards} {account.quoted}"


def _known(connection: Connection) -> set[str]:
    rows = connection.rows("SELECT User, Host FROM mysql.user")
    return {_shown(user, host) for user, host in rows}


def _shown(user: str, host: str) -> str:
    """As definers are told; a role has no host."""
    return f"{user}@{host}" if host else user


def _wanted(accounts: dict[str, Account], definers: Collection[str]) -> set[str]:
    """With the roles that were given to any of them."""
    found = {name for name, account in accounts.items() if account.grants}
    found |= {name for name in definers if name.strip("@")}
    return found.union(*(accounts[name].roles for name in found & accounts.keys()))


def read_accounts(script: str, original: str, target: str) -> dict[str, Account]:
    """All accounts that `script` creates, by user@host, with the rights they have on `original`,
    given on `target`."""
    accounts: dict[str, Account] = {}
    for statement in _statements(script):
        if match := _CREATE.match(statement):
            accounts[_name(match["account"])] = _created(match)
        elif match := _RIGHTS.match(statement):
            _add_rights(accounts.get(_name(match["account"])), match, original, target)
        elif match := _GIVEN.match(statement):
            if account := accounts.get(_name(match["account"])):
                account.roles |= _roles(match["roles"])
        elif match := _SET_DEFAULT.match(statement):
            if account := accounts.get(_name(match["account"])):
                account.defaults |= _roles(match["roles"])
    return accounts


def _created(match: re.Match[str]) -> Account:
    """MySQL names default roles in it, which need not be there yet."""
    defaults = _DEFAULTS.search(match["rest"])
    rest = _DEFAULTS.sub("", match["rest"], count=1)
    return Account(
        match["account"],
        f"CREATE {match['kind']} IF NOT EXISTS {match['account']}{rest}",
        defaults=_roles(defaults["roles"]) if defaults else {},
    )


def _roles(listed: str) -> dict[str, str]:
    return {_name(role): role for role in re.findall(_NAMED, listed, re.DOTALL)}


def _add_rights(account: Account | None, match: re.Match[str], original: str, target: str) -> None:
    if account is None or match["what"] in ("USAGE", "PROXY"):
        return
    place = _PLACE.fullmatch(match["where"])
    if place is None or not _is_on(place, original):
        account.elsewhere += 1
        return
    # A pattern such as `shop\_%` means more databases than this one.
    name = quoted(target if place["object"] != "*" else _escaped(target))
    where = f"{match['kind']}{name}.{place['object']}"
    rest = " WITH GRANT OPTION" if "WITH GRANT OPTION" in match["rest"] else ""
    account.grants.append(f"GRANT {match['what']} ON {where} TO {match['account']}{rest}")


def _is_on(place: re.Match[str], database: str) -> bool:
    """Only a grant on a whole database names it by a pattern."""
    if place["object"] != "*":
        return _plain(place["database"]) == database
    return place["database"] != "*" and covers(f"{place['database']}.*", database)


def _escaped(database: str) -> str:
    return re.sub(r"([_%\\])", r"\\\1", database)


def _statements(script: str) -> Iterator[str]:
    for match in _STATEMENT.finditer(script):
        if match["statement"]:
            yield match["statement"].strip()


def _name(account: str) -> str:
    parts = re.findall(_QUOTED, account, re.DOTALL)
    return _shown(*(_plain(part) for part in (*parts, "``")[:2]))


def _plain(part: str) -> str:
    return part[1:-1].replace(part[0] * 2, part[0]).replace("\\'", "'")


def _tried(connection: Connection, name: str, statement: str) -> list[str]:
    try:
        connection.execute(statement)
    except pymysql.err.Error as error:
        what = "was not created" if statement.startswith("CREATE") else "lacks a grant"
        return [f"account {name} {what}: {_harmless(error, statement)}"]
    return []


def _harmless(error: pymysql.err.Error, statement: str) -> str:
    """The server's words without what is secret: of a statement it does not understand it shows a
    part, cut anywhere."""
    if code_of(error) == ER.PARSE_ERROR:
        return "this server does not know a clause of its statement; it is in users.sql"
    text = text_of(error)
    for secret in _LITERAL.findall(statement):
        text = text.replace(secret.strip("'"), "…") if len(secret) > 10 else text
    return text
