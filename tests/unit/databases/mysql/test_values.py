"""What is decided about MySQL and MariaDB without a server."""

from __future__ import annotations

import pytest

from covetbackup.core.databases.mysql.archive.dump_index import (
    SectionScan,
    map_from_json,
    map_to_json,
)
from covetbackup.core.databases.mysql.archive.requalify import (
    Renaming,
    databases_in,
    in_database,
    mentions,
    with_database,
    with_sequences_in,
)
from covetbackup.core.databases.mysql.archive.rewrite import disable_events, with_definer
from covetbackup.core.databases.mysql.archive.view_order import in_order
from covetbackup.core.databases.mysql.inventory.schema_fingerprint import SchemaFingerprint
from covetbackup.core.databases.mysql.inventory.tables import Table, balanced
from covetbackup.core.databases.mysql.server.clients import MysqlClients, select_clients
from covetbackup.core.databases.mysql.server.flavour import Flavour, version_of
from covetbackup.core.errors import BadSetting, Incomplete, ManifestInvalid, ToolMissing


@pytest.mark.parametrize(
    ("text", "flavour", "number"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", Flavour.MARIADB, (10, 11, 19)),
        ("5.5.5-10.6.7-MariaDB", Flavour.MARIADB, (10, 6, 7)),
        ("8.0.36-28", Flavour.MYSQL, (8, 0, 36)),
        ("9.7.0", Flavour.MYSQL, (9, 7, 0)),
    ],
)
def test_a_version_is_read(text: str, flavour: Flavour, number: tuple[int, int, int]) -> None:
    version = version_of(text)
    assert (version.flavour, version.number) == (flavour, number)


@pytest.mark.parametrize("text", ["5.7.44", "8.0.15", "10.3.1-MariaDB", "PostgreSQL"])
def test_what_is_too_old_or_no_version_is_refused(text: str) -> None:
    with pytest.raises(BadSetting):
        version_of(text)


def _clients(*versions: str) -> list[MysqlClients]:
    return [MysqlClients(f"/{text}/dump", f"/{text}/client", version_of(text)) for text in versions]


def test_the_servers_own_series_is_preferred_then_the_nearest_newer_then_the_newest() -> None:
    found = _clients("10.6.1-MariaDB", "10.11.4-MariaDB", "11.4.2-MariaDB", "8.4.3", "8.0.36")
    chosen = {
        server: select_clients(found, version_of(server)).version.text
        for server in ("10.11.9-MariaDB", "10.7.1-MariaDB", "12.0.1-MariaDB", "8.0.20", "9.1.0")
    }
    assert chosen == {
        "10.11.9-MariaDB": "10.11.4-MariaDB",
        "10.7.1-MariaDB": "10.11.4-MariaDB",
        "12.0.1-MariaDB": "11.4.2-MariaDB",
        "8.0.20": "8.0.36",
        "9.1.0": "8.4.3",
    }


def test_clients_of_the_other_flavour_are_as_good_as_none() -> None:
    with pytest.raises(ToolMissing, match="MySQL") as caught:
        select_clients(_clients("10.11.4-MariaDB"), version_of("8.4.3"))
    assert "mysql-client" in caught.value.hint


def _table(name: str, size: int) -> Table:
    return Table(name, "InnoDB", size, 0, transactional=True, versioned=False)


def test_tables_are_spread_by_size_and_no_group_is_empty() -> None:
    tables = (_table("a", 10 << 20), _table("b", 6 << 20), _table("c", 5 << 20), _table("d", 0))
    groups = [{table.name for table in group} for group in balanced(tables, 2)]
    assert groups == [{"a", "d"}, {"b", "c"}] or groups == [{"a"}, {"b", "c", "d"}]
    assert [len(group) for group in balanced(tables[:1], 4)] == [1]
    assert balanced((), 4) == []


def test_views_come_after_what_they_read() -> None:
    definitions = {
        "a": "select `x` from `z`",
        "m": "select `a`.`x` from `a` join `b`",
        "b": "select 1 AS `1`",
        "z": "select `t`.`x` AS `x` from `t`",
    }
    order = in_order(definitions)
    assert sorted(order) == ["a", "b", "m", "z"]
    assert order.index("z") < order.index("a") < order.index("m")
    assert order.index("b") < order.index("m")
    assert in_order({"a": "select `b` from `t`", "b": "select `a` from `t`"}) == ["a", "b"]


def test_only_tables_of_both_moments_can_be_altered() -> None:
    before = SchemaFingerprint({"kept": "1", "gone": "1", "changed": "1"}, "")
    after = SchemaFingerprint({"kept": "1", "new": "1", "changed": "2"}, "")
    assert before.altered(after) == ["changed"]


def _dump(*tables: str) -> bytes:
    sections = b"".join(
        f"\n--\n-- Dumping data for table `{name}`\n--\n\nLOCK TABLES `{name}` WRITE;\n"
        f"INSERT INTO `{name}` VALUES ('\\n--\\n-- Dumping data for table `x`');\n"
        "UNLOCK TABLES;\n".encode()
        for name in tables
    )
    return b"-- header\n" + sections + b"/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;\n-- end\n"


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
def test_sections_are_found_however_the_stream_is_cut(size: int) -> None:
    dump = _dump("a", "b`` ☃", "c")
    scan = SectionScan(["a", "b` ☃", "c"])
    pieces = (dump[at : at + size] for at in range(0, len(dump), size))
    assert b"".join(scan(pieces)) == dump
    found = scan.sections
    texts = {
        name: dump[section.offset : section.offset + section.length]
        for name, section in found.tables.items()
    }
    assert dump[: found.header] + b"".join(texts.values()) == dump[: dump.index(b"/*!40103")]
    assert all(f"INSERT INTO `{name.replace('`', '``')}`".encode() in texts[name] for name in texts)
    assert scan.beginning == dump[:4096]
    assert map_from_json(map_to_json({"data-0001.sql": found})) == {"data-0001.sql": found}


@pytest.mark.parametrize("tables", [("a",), ("a", "b", "b"), ("a", "b", "other")])
def test_a_table_too_few_too_many_or_twice_fails(tables: tuple[str, ...]) -> None:
    scan = SectionScan(["a", "b"])
    with pytest.raises(Incomplete):
        list(scan(iter([_dump(*tables)])))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format": "covetbackup-mysql-tables/9"}'])
def test_a_map_that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        map_from_json(data)


_SCRIPT = rb"""DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a`@`%`*/ /*!50003 TRIGGER t BEFORE INSERT ON x FOR EACH ROW
CREATE DEFINER=`a`@`%` in a body */;;
DELIMITER ;
DELIMITER ;;
CREATE DEFINER="a"@"%" FUNCTION f() RETURNS int RETURN 1 ;;
DELIMITER ;
/*!50003 SET time_zone             = 'SYSTEM' */ ;;
/*!50106 CREATE*/ /*!50117 DEFINER=`a`@`%`*/ /*!50106 EVENT `e` ON SCHEDULE EVERY 1 DAY STARTS '2036-01-01 00:00:00' ON COMPLETION NOT PRESERVE ENABLE COMMENT ' ON COMPLETION PRESERVE ENABLE' DO SELECT 1 */ ;;
/*!50001 CREATE ALGORITHM=UNDEFINED */
/*!50013 DEFINER=`a`@`%` SQL SECURITY DEFINER */
/*!50001 VIEW `v` AS select `shop`.`t`.`a` AS `a`,`shop`.`f`() AS `f`,'`shop`.`t`.`a`' AS `s`,`shop`.`b` AS `b` from `t` join `x` `shop` */;
"""  # noqa: E501


def test_only_the_definers_of_statements_are_replaced() -> None:
    script = with_definer(_SCRIPT, "`new`@`%`")[:]
    assert script.count(b"DEFINER=`new`@`%`") == 4
    assert b"CREATE DEFINER=`a`@`%` in a body" in script


def test_only_names_of_the_old_database_in_views_are_replaced() -> None:
    script = with_database(_SCRIPT, Renaming("shop", "new"))[:]
    expected = b"select `new`.`t`.`a` AS `a`,`new`.`f`() AS `f`,'`shop`.`t`.`a`' AS `s`,`shop`.`b`"
    assert expected in script
    assert script.splitlines()[:-1] == _SCRIPT.splitlines()[:-1]


@pytest.mark.parametrize(
    ("view", "found"),
    [
        ("select 1 from `shop`.`t` `x`", "select 1 from `n``w`.`t` `x`"),
        ("select 1 from ((`shop`.`t` join (`shop`.`u` `y`", None),
        ("select `shop`.`t` AS `t` from `x` `shop`", "select `shop`.`t` AS `t` from `x` `shop`"),
        ("select trim(both 'x' from `shop`.`t`) from `x` `shop`", ""),
        ("select extract(year from `shop`.`t`) from `x` `shop`", ""),
        ("select trim((select 1 from `shop`.`t`)) from `x`", None),
        ("select nextval(`shop`.`s`),setval(`shop`.`s`,`shop`.`t`,1) from `x` `shop`",
         "select nextval(`n``w`.`s`),setval(`n``w`.`s`,`shop`.`t`,1) from `x` `shop`"),
        ("select `SHOP`.`f`(1),`shopping`.`f`(1)", ""),
        ("select 'it''s from `shop`.`t`', '\\' from `shop`.`t`",
         "select 'it''s from `shop`.`t`', '\\' from `n``w`.`t`"),
    ],
)  # fmt: skip
def test_the_database_of_a_view_is_told_from_an_alias(view: str, found: str | None) -> None:
    """None: wherever it is named; "": nowhere."""
    expected = view.replace("`shop`", "`n``w`") if found is None else found or view
    assert in_database(view.encode(), Renaming("shop", "n`w")).decode() == expected


def test_databases_that_a_view_names_are_found() -> None:
    view = b"select `a`.`f`(`b`.`t`.`c`) from `c`.`t` `x` where `x`.`y` = '`d`.`t`.`u`'"
    assert databases_in(view) == {"a": {"f"}, "b": {"t"}, "c": {"t"}}


def test_a_server_that_knows_no_case_means_the_same_by_another() -> None:
    renaming = Renaming("shop", "new", ignore_case=True)
    assert in_database(b"select 1 from `Shop`.`t`", renaming) == b"select 1 from `new`.`t`"


def test_events_are_put_to_sleep_and_strange_ones_refused() -> None:
    asleep = disable_events(_SCRIPT)[:]
    assert b"NOT PRESERVE DISABLE COMMENT ' ON COMPLETION PRESERVE ENABLE'" in asleep
    with pytest.raises(Incomplete):
        disable_events(b"/*!50106 CREATE*/ /*!50106 EVENT e ON SCHEDULE EVERY 1 DAY DO x */ ;;")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"DELETE FROM shop.t", True),
        (b"DELETE FROM `shop` . `t`", True),
        (b"DELETE FROM myshop.t", False),
        (b"SELECT 'the shop.'", False),
    ],
)
def test_a_database_named_before_a_dot_is_noticed(text: bytes, found: bool) -> None:
    assert mentions(text, "shop") == found
    assert mentions(text.upper(), "shop", ignore_case=True) == found


def test_only_sequences_of_the_old_database_are_looked_for_in_the_new_one() -> None:
    script = (
        b"`it's` int DEFAULT (nextval(`shop`.`s`) + lastval(`x`.`s`)) COMMENT 'nextval(`shop`.'"
    )
    assert with_sequences_in(script, "shop", "new`er")[:] == (
        b"`it's` int DEFAULT (nextval(`new``er`.`s`) + lastval(`x`.`s`)) COMMENT 'nextval(`shop`.'"
    )
