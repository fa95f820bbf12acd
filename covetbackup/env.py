"""Typed access to environment variables: the only source of settings.

A wrong value is remembered, not raised: `covetbackup check` must be able to say what is wrong with
all of them at once. Each is then reported under the id `covetbackup.E001`.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Problem:
    """A variable whose value cannot be used; the default is used in its place."""

    variable: str
    message: str


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that was read: its value, or its default; no password is in it."""

    name: str
    value: str
    is_set: bool


@dataclass(slots=True)
class Environment:
    """Variables beginning with `COVET_`, and `DATABASE_URL`."""

    values: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    problems: list[Problem] = field(default_factory=list)
    defaults: dict[str, str] = field(default_factory=dict)
    """Of every variable that was asked for."""

    def variables(self) -> list[Variable]:
        """Return every variable that was read, by name."""
        return [
            Variable(name, without_password(self.values.get(name) or default), name in self.values)
            for name, default in sorted(self.defaults.items())
        ]

    def text(self, name: str, default: str = "") -> str:
        self.defaults[name] = default
        return self.values.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a variable that is yes or no; other values are a problem."""
        value = self.text(name, "yes" if default else "no").lower()
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        if value:
            self.problems.append(Problem(name, f"{value!r} is neither yes nor no"))
        return default

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        text = self.text(name, str(default))
        if not text:
            return default
        if text.isascii() and text.isdigit() and least <= int(text) <= most:
            return int(text)
        self.problems.append(Problem(name, f"{text[:40]!r} is not a number from {least} to {most}"))
        return default

    def path(self, name: str, default: Path) -> Path:
        text = self.text(name, str(default))
        return Path(text).absolute() if text else default

    def words(self, name: str, default: str = "") -> list[str]:
        """Return the words of a variable, which commas separate."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def catalog(self, name: str, embedded: Path) -> dict[str, object]:
        """Django's settings for the catalog's database: PostgreSQL by URL, else SQLite."""
        url = self.text(name)
        if not url:
            return _sqlite(embedded)
        parts = urlsplit(url)
        if parts.scheme not in ("postgresql", "postgres") or len(parts.path) < 2:
            self.problems.append(Problem(name, "it is not postgresql://user@host:port/name"))
            return _sqlite(embedded)
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or "") or self.file("DATABASE_PASSWORD_FILE"),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "OPTIONS": dict(parse_qsl(parts.query)),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
        }

    def file(self, name: str) -> str:
        """Return the content of the file that a variable names, without the line end.

        It is for passwords.
        """
        if not self.text(name):
            return ""
        try:
            return Path(self.text(name)).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, UnicodeDecodeError):
            self.problems.append(Problem(name, "the file cannot be read"))
            return ""

    def networks(self, name: str) -> list[str]:
        """Addresses and networks like `10.0.0.0/8`; wrong ones are left out."""
        return [word for word in self.words(name) if self._is_network(name, word)]

    def _is_network(self, name: str, word: str) -> bool:
        try:
            ip_network(word, strict=False)
        except ValueError:
            self.problems.append(Problem(name, f"{word[:40]!r} is neither address nor network"))
            return False
        return True


def without_password(text: str) -> str:
    """Return `text` as it may be shown: the password of an address is left out."""
    return re.sub(r"(://[^/@:\s]*:)[^@\s]*@|(password=)[^&\s]*", _blanked, text)


def _blanked(found: re.Match[str]) -> str:
    return f"{found[1]}…@" if found[1] else f"{found[2]}…"


def _sqlite(path: Path) -> dict[str, object]:
    # IMMEDIATE matters as much as WAL: a transaction that reads first and writes later fails at
    # once, whatever the timeout, when another connection wrote in between.
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; "
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": pragmas + "PRAGMA journal_size_limit=67108864;",
        },
        "TEST": {"NAME": str(path.with_name("test-catalog.sqlite3"))},
    }
