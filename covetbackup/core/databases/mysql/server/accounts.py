"""Creation of the accounts that a restored database needs, where they are missing.

Those are the definers of what is in the database, and the accounts with privileges on it, with
those privileges alone: an administrator of one server is not made one on another. Accounts that
exist stay as they are.
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
_PRIVILEGE_GRANT = re.compile(
    rf"GRANT (?P<what>.+?) ON (?P<kind>(?:TABLE |FUNCTION |PROCEDURE |PACKAGE |PACKAGE BODY )?)"
    rf"(?P<where>\S.*?) TO {_ACCOUNT}(?P<rest>.*)",
    re.DOTALL,
)
_ROLE_GRANT = re.compile(rf"GRANT {_ROLES} TO {_ACCOUNT}", re.DOTALL)
_OBJECT = re.compile(r"(?P<database>`(?:[^`]|``)*`|\*)\.(?P<object>.*)", re.DOTALL)
_LITERAL = re.compile(r"(?:'(?:[^'\\]|\\.|'')*'|0x[0-9A-Fa-f]+)", re.DOTALL)


@dataclass(slots=True)
class Account:
    """An account or role of users.sql.

    `quoted` is its name as in a statement, and `statement` creates it. `roles` are those granted to
    it, and `defaults` its default roles, quoted, by account name. `grants` are the GRANT statements
    on the database alone; `other_grants` counts the others.
    """

    quoted: str
    statement: str
    grants: list[str] = field(default_factory=list)
    roles: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, str] = field(default_factory=dict)
    other_grants: int = 0


def create_missing(
    connection: Connection, script: str, *, original: str, target: str, definers: Collection[str]
) -> list[str]:
    """Create the accounts that the database `original` needs and this server lacks.

    `script` is users.sql of the backup. Their privileges are granted on the database `target`;
    `definers` are needed too. Returns notes for the operator, a line each, with names and the
    server's messages but without secrets of a statement.
    """
    try:
        existing = _existing(connection)
    except pymysql.err.Error as error:
        return [f"no accounts were created, for they could not be listed: {text_of(error)}"]
    accounts = read_accounts(script, original, target)
    required = _required(accounts, definers)
    missing = {
        name: account
        for name, account in accounts.items()
        if name in required and name not in existing
    }
    lines = [f"account {name} is in use but not in the backup" for name in sorted(required)
             if name not in accounts and name not in existing]  # fmt: skip
    created: dict[str, Account] = {}
    for name, account in missing.items():
        failed = _run(connection, name, account.statement)
        lines += failed or [f"account {name} was created"]
        if not failed:  # else a MariaDB might make it for the sake of a grant, without a password
            created[name] = account
    for name, account in created.items():
        for statement in _grants(connection, account, created):
            lines += _run(connection, name, statement)
        more = account.other_grants + len(account.roles.keys() - created.keys())
        if more:
            lines.append(f"account {name} has {more} more grants in users.sql, which are not on"
                         " this database, or of roles that were not created here")  # fmt: skip
    return lines


def _grants(connection: Connection, account: Account, created: Collection[str]) -> Iterator[str]:
    """Yield the grants, of roles only those `created` here: another role of that name may have any
    privilege."""
    yield from account.grants
    for name, role in account.roles.items():
        if name in created:
            yield f"GRANT {role} TO {account.quoted}"
    defaults = [role for name, role in account.defaults.items() if name in created]
    if defaults:
        preposition = "FOR" if connection.version.is_mariadb else "TO"
        yield f"SET DEFAULT ROLE {', '.join(defaults)} {preposition} {account.quoted}"


def _existing(connection: Connection) -> set[str]:
    rows = connection.rows("SELECT User, Host FROM mysql.user")
    return {_account_name(user, host) for user, host in rows}


def _account_name(user: str, host: str) -> str:
    """Return the name as definers have it; a role has no host."""
    return f"{user}@{host}" if host else user


def _required(accounts: dict[str, Account], definers: Collection[str]) -> set[str]:
    """Return the accounts that the database needs, with the roles granted to them."""
    found = {name for name, account in accounts.items() if account.grants}
    found |= {name for name in definers if name.strip("@")}
    return found.union(*(accounts[name].roles for name in found & accounts.keys()))


def read_accounts(script: str, original: str, target: str) -> dict[str, Account]:
    """Return all accounts that `script` creates, by user@host.

    Their privileges on the database `original` are grants on `target`.
    """
    accounts: dict[str, Account] = {}
    for statement in _statements(script):
        if match := _CREATE.match(statement):
            accounts[_name(match["account"])] = _read_account(match)
        elif match := _PRIVILEGE_GRANT.match(statement):
            _add_privileges(accounts.get(_name(match["account"])), match, original, target)
        elif match := _ROLE_GRANT.match(statement):
            if account := accounts.get(_name(match["account"])):
                account.roles |= _roles(match["roles"])
        elif match := _SET_DEFAULT.match(statement):
            if account := accounts.get(_name(match["account"])):
                account.defaults |= _roles(match["roles"])
    return accounts


def _read_account(match: re.Match[str]) -> Account:
    """Read a CREATE statement without its default roles (MySQL), which may not exist yet."""
    defaults = _DEFAULTS.search(match["rest"])
    rest = _DEFAULTS.sub("", match["rest"], count=1)
    return Account(
        match["account"],
        f"CREATE {match['kind']} IF NOT EXISTS {match['account']}{rest}",
        defaults=_roles(defaults["roles"]) if defaults else {},
    )


def _roles(listed: str) -> dict[str, str]:
    return {_name(role): role for role in re.findall(_NAMED, listed, re.DOTALL)}


def _add_privileges(
    account: Account | None, match: re.Match[str], original: str, target: str
) -> None:
    if account is None or match["what"] in ("USAGE", "PROXY"):
        return
    named = _OBJECT.fullmatch(match["where"])
    if named is None or not _is_on(named, original):
        account.other_grants += 1
        return
    # A pattern such as `shop\_%` means more databases than this one.
    name = quoted(target if named["object"] != "*" else _escaped(target))
    object_sql = f"{match['kind']}{name}.{named['object']}"
    rest = " WITH GRANT OPTION" if "WITH GRANT OPTION" in match["rest"] else ""
    account.grants.append(f"GRANT {match['what']} ON {object_sql} TO {match['account']}{rest}")


def _is_on(named: re.Match[str], database: str) -> bool:
    """Return whether a grant is on `database`. Only one on a whole database names a pattern."""
    if named["object"] != "*":
        return _unquoted(named["database"]) == database
    return named["database"] != "*" and covers(f"{named['database']}.*", database)


def _escaped(database: str) -> str:
    return re.sub(r"([_%\\])", r"\\\1", database)


def _statements(script: str) -> Iterator[str]:
    for match in _STATEMENT.finditer(script):
        if match["statement"]:
            yield match["statement"].strip()


def _name(account: str) -> str:
    parts = re.findall(_QUOTED, account, re.DOTALL)
    return _account_name(*(_unquoted(part) for part in (*parts, "``")[:2]))


def _unquoted(part: str) -> str:
    return part[1:-1].replace(part[0] * 2, part[0]).replace("\\'", "'")


def _run(connection: Connection, name: str, statement: str) -> list[str]:
    try:
        connection.execute(statement)
    except pymysql.err.Error as error:
        what = "was not created" if statement.startswith("CREATE") else "lacks a grant"
        return [f"account {name} {what}: {_without_secrets(error, statement)}"]
    return []


def _without_secrets(error: pymysql.err.Error, statement: str) -> str:
    """Return the server's message without secrets: of a statement it cannot parse it quotes a part,
    cut anywhere."""
    if code_of(error) == ER.PARSE_ERROR:
        return "this server does not know a clause of its statement; it is in users.sql"
    text = text_of(error)
    for secret in _LITERAL.findall(statement):
        text = text.replace(secret.strip("'"), "…") if len(secret) > 10 else text
    return text
