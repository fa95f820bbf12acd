"""What an account may do, read from what a server says of its grants."""

from __future__ import annotations

from typing import cast

import pytest

from covetbackup.core.databases.mysql.backup.privileges import Rights, granted
from covetbackup.core.databases.mysql.server.connection import Connection
from covetbackup.core.databases.mysql.server.flavour import version_of

_TO = "TO `me`@`%`"


class _Server:
    """Answers SHOW GRANTS; there is no MySQL with partial revokes in every test run."""

    version = version_of("8.4.3")

    def __init__(self, *lines: str) -> None:
        self._lines = lines

    def value(self, statement: str) -> str:
        return "NONE"

    def strings(self, statement: str) -> list[str]:
        return list(self._lines)


def _granted(*lines: str, database: str = "shop") -> frozenset[str]:
    return granted(cast(Connection, _Server(*lines)), database).here


def test_a_right_taken_back_on_this_database_is_none() -> None:
    lines = f"GRANT SELECT, TRIGGER, EVENT ON *.* {_TO}", "REVOKE TRIGGER ON `shop`.* FROM `me`@`%`"
    assert "TRIGGER" not in _granted(*lines)
    assert {"SELECT", "EVENT"} == _granted(*lines)
    assert "TRIGGER" in _granted(*lines, database="other")


@pytest.mark.parametrize(
    ("place", "covers"),
    [("`shop`.*", True), ("`sh%`.*", True), ("`sh_p`.*", True), ("`sh\\_p`.*", False)],
)
def test_a_place_is_a_pattern(place: str, covers: bool) -> None:
    assert ("SELECT" in _granted(f"GRANT SELECT ON {place} {_TO}")) == covers


def test_rights_on_columns_or_one_table_are_none_on_the_database() -> None:
    assert not _granted(f"GRANT SELECT (`a`, `b`) ON `shop`.`orders` {_TO}")


def test_a_right_on_all_databases_is_told_from_one_on_this() -> None:
    lines = f"GRANT SELECT ON *.* {_TO}", f"GRANT EVENT ON `shop`.* {_TO}"
    rights = granted(cast(Connection, _Server(*lines)), "shop")
    assert rights == Rights(here=frozenset({"SELECT", "EVENT"}), everywhere=frozenset({"SELECT"}))
