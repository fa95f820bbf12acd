"""What goes into a database that is there: rows or whole tables, all of it or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from covetbackup.core.databases.selection import Selection
from covetbackup.core.errors import (
    BadSetting,
    DatabaseError,
    DatabaseUnavailable,
    ServerBusy,
    SinkFailed,
    TargetNotEmpty,
)
from covetbackup.core.operations.restore import RestoreResult
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import Notes, contents
from tests.support.postgres_selection import (
    SOURCE,
    TARGET,
    Place,
    back_up,
    restore_part,
    rich_backups,
)


@pytest.fixture(scope="module")
def place(postgres_server: PostgresServer) -> Iterator[Place]:
    with rich_backups(postgres_server, "parts") as place:
        postgres_server.execute(
            SOURCE,
            "CREATE SCHEMA shop",
            "CREATE TABLE shop.branch (id int PRIMARY KEY, main int REFERENCES shop.branch)",
            "CREATE TABLE shop.area (id int PRIMARY KEY)",
            "ALTER TABLE shop.branch ADD area int REFERENCES shop.area",
            "ALTER TABLE shop.area ADD seat int REFERENCES shop.branch",
            "INSERT INTO shop.area SELECT generate_series(1, 3)",
            # The first needs the last: no order of the rows would do.
            "INSERT INTO shop.branch"
            " SELECT g, 20001 - g, 1 + g % 3 FROM generate_series(1, 20000) g",
            "UPDATE shop.area SET seat = id",
        )
        back_up(postgres_server, place, "shop")
        yield place


@pytest.fixture(autouse=True)
def tidy(place: Place, postgres_tidy: PostgresServer) -> None:
    """Whatever a test restores goes when it ends."""


def made(server: PostgresServer, place: Place, *tables: str, slug: str = "parts") -> None:
    """The structure of `tables` in a database of its own."""
    restore_part(server, place, Selection(tables, with_data=False), slug=slug)


def rows_into(
    server: PostgresServer, place: Place, *tables: str, slug: str = "parts", **more: object
) -> RestoreResult:
    selection = Selection(tables, with_structure=False)
    return restore_part(server, place, selection, slug=slug, **more)  # type: ignore[arg-type]


def tables_into(
    server: PostgresServer, place: Place, *tables: str, schemas_as: str = "", **more: object
) -> RestoreResult:
    pairs = (("public", schemas_as),) if schemas_as else ()
    selection = Selection(tables, schemas_as=pairs)
    return restore_part(server, place, selection, adds=True, **more)  # type: ignore[arg-type]


def test_rows_go_into_tables_that_are_there(postgres_server: PostgresServer, place: Place) -> None:
    made(postgres_server, place, "public.sale", "public.customer")
    result = rows_into(postgres_server, place, "public.customer", "public.sale")
    assert {table.label: table.rows for table in result.inventory.tables if table.exact} == {
        "public.customer": 500,
        "public.sale_1": 366,
        "public.sale_2_rest": 335,
    }
    here, there = contents(postgres_server, TARGET), contents(postgres_server, SOURCE)
    assert here["public.customer"] == there["public.customer"]
    assert here["public.sale"] == there["public.sale"]


def test_rows_wait_for_the_disk_when_they_are_committed(
    postgres_server: PostgresServer, place: Place
) -> None:
    made(postgres_server, place, "public.customer")
    postgres_server.execute(
        TARGET,
        f"ALTER DATABASE {TARGET} SET synchronous_commit = 'on'",
        "CREATE TABLE seen (setting text)",
        "CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO"
        " public.seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END$$",
        "CREATE CONSTRAINT TRIGGER at_commit AFTER INSERT ON customer"
        " DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.see()",
    )
    rows_into(postgres_server, place, "public.customer")
    assert postgres_server.rows(TARGET, "SELECT DISTINCT setting FROM seen") == [("on",)]


def test_rows_whose_keys_need_each_other_come_in_any_order(
    postgres_server: PostgresServer, place: Place
) -> None:
    """And the keys are as strict as before, once they are there."""
    made(postgres_server, place, "shop.branch", "shop.area", slug="shop")
    rows_into(postgres_server, place, "shop.area", "shop.branch", slug="shop")
    here, there = contents(postgres_server, TARGET), contents(postgres_server, SOURCE)
    assert [here[t] == there[t] for t in ("shop.area", "shop.branch")] == [True, True]
    query = "SELECT DISTINCT condeferrable, condeferred FROM pg_constraint WHERE contype = 'f'"
    assert postgres_server.rows(TARGET, query) == [(False, False)]


def test_a_key_that_is_violated_in_the_end_leaves_everything_as_it_was(
    postgres_server: PostgresServer, place: Place
) -> None:
    made(postgres_server, place, "shop.branch", "shop.area", slug="shop")
    postgres_server.execute(
        TARGET,
        "CREATE FUNCTION public.lose() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END'",
        "CREATE TRIGGER lose BEFORE INSERT ON shop.area FOR EACH ROW"
        " EXECUTE FUNCTION public.lose()",
    )
    before = contents(postgres_server, TARGET)
    with pytest.raises(DatabaseError, match="branch_area_fkey"):
        rows_into(postgres_server, place, "shop.area", "shop.branch", slug="shop")
    assert contents(postgres_server, TARGET) == before


def test_rows_that_are_there_already_leave_the_tables_as_they_were(
    postgres_server: PostgresServer, place: Place
) -> None:
    tables = ("public.tall", "public.customer")
    restore_part(postgres_server, place, Selection(tables))
    before = contents(postgres_server, TARGET)
    with pytest.raises(SinkFailed, match="customer"):  # its keys are there; those of tall are none
        rows_into(postgres_server, place, *tables)
    assert contents(postgres_server, TARGET) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("DROP TABLE customer", "not there: public.customer"),
        ("ALTER TABLE customer DROP COLUMN pr", "not there, or computed there: .*customer.pr"),
        ("ALTER TABLE customer ADD need int NOT NULL", "need a value .* public.customer.need"),
    ],
)
def test_tables_that_the_rows_do_not_fit_are_named_before_the_first_row(
    postgres_server: PostgresServer, place: Place, change: str, message: str
) -> None:
    made(postgres_server, place, "public.tall", "public.customer")
    postgres_server.execute(TARGET, change)
    with pytest.raises(BadSetting, match=message):
        rows_into(postgres_server, place, "public.tall", "public.customer")
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM tall") == [(0,)]


def test_triggers_find_what_they_always_find(postgres_server: PostgresServer, place: Place) -> None:
    made(postgres_server, place, "public.tall")
    postgres_server.execute(
        TARGET,
        "CREATE TABLE seen (id int)",
        "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END'",
        "CREATE TRIGGER see AFTER INSERT ON tall FOR EACH ROW EXECUTE FUNCTION see()",
    )
    rows_into(postgres_server, place, "public.tall")
    query = "SELECT count(*) FROM {}"
    assert postgres_server.rows(TARGET, query.format("seen")) == (
        postgres_server.rows(TARGET, query.format("tall"))
    )


def test_a_role_needs_no_more_than_to_insert(
    postgres_server: PostgresServer, place: Place, postgres_role: Callable[..., PostgresRole]
) -> None:
    role = postgres_role()
    made(postgres_server, place, "public.tall")
    with pytest.raises(BadSetting, match="may not insert into: public.tall"):
        rows_into(postgres_server, place, "public.tall", role=role)
    postgres_server.execute(TARGET, f"GRANT INSERT ON tall TO {role.name}")
    rows_into(postgres_server, place, "public.tall", role=role)
    assert (
        contents(postgres_server, TARGET)["public.tall"]
        == (contents(postgres_server, SOURCE)["public.tall"])
    )


def test_only_an_owner_can_have_keys_wait(
    postgres_server: PostgresServer, place: Place, postgres_role: Callable[..., PostgresRole]
) -> None:
    role = postgres_role()
    made(postgres_server, place, "shop.branch", "shop.area", slug="shop")
    postgres_server.execute(
        TARGET,
        f"GRANT USAGE ON SCHEMA shop TO {role.name}",
        f"GRANT INSERT ON ALL TABLES IN SCHEMA shop TO {role.name}",
    )
    with pytest.raises(BadSetting, match="owner .* branch_area_fkey"):
        rows_into(postgres_server, place, "shop.branch", "shop.area", slug="shop", role=role)


def test_rows_go_into_the_tables_of_another_schema(
    postgres_server: PostgresServer, place: Place
) -> None:
    made(postgres_server, place, "public.tall", "public.egg")
    postgres_server.execute(TARGET, "CREATE SCHEMA beside", "ALTER TABLE tall SET SCHEMA beside")
    selection = Selection(
        ("public.tall",), with_structure=False, schemas_as=(("public", "beside"),)
    )
    result = restore_part(postgres_server, place, selection)
    assert [table.label for table in result.inventory.tables] == ["beside.tall"]
    assert (
        contents(postgres_server, TARGET)["beside.tall"]
        == (contents(postgres_server, SOURCE)["public.tall"])
    )


@pytest.mark.parametrize("adds", [True, False])
def test_a_database_that_is_not_there_gets_nothing(
    postgres_server: PostgresServer, place: Place, adds: bool
) -> None:
    selection = Selection(("public.customer",), with_structure=adds)
    with pytest.raises(DatabaseUnavailable, match=TARGET):
        restore_part(postgres_server, place, selection, adds=adds)


def test_a_table_that_was_dropped_comes_back_with_what_is_its_own(
    postgres_server: PostgresServer, place: Place
) -> None:
    """The types and functions that others use as well are there and used as they are."""
    restore_part(postgres_server, place, Selection(("public.customer", "public.by_mood")))
    before = contents(postgres_server, TARGET)
    postgres_server.execute(TARGET, "DROP TABLE customer")
    notes = Notes()
    result = tables_into(postgres_server, place, "public.customer", progress=notes)
    assert contents(postgres_server, TARGET) == before
    assert [table.rows for table in result.inventory.tables] == [500]
    assert "used as it is there: type public.mood" in notes.lines
    indexes = "SELECT indexname FROM pg_indexes WHERE tablename = 'customer' ORDER BY 1"
    assert postgres_server.rows(TARGET, indexes) == [("customer_name_key",), ("customer_pkey",)]
    postgres_server.execute(TARGET, "INSERT INTO customer (name) VALUES ('next')")
    assert postgres_server.rows(TARGET, "SELECT max(id) FROM customer") == [(501,)]


def test_keys_to_tables_that_are_there_come_if_the_rows_allow_it(
    postgres_server: PostgresServer, place: Place
) -> None:
    tables = ("shop.branch", "shop.area")
    restore_part(postgres_server, place, Selection(tables), slug="shop")
    before = contents(postgres_server, TARGET)
    lost = "DELETE FROM shop.branch WHERE 3 IN (id, main)"
    for statements, note in (((), "was there:"), ((lost,), "left out:")):
        postgres_server.execute(TARGET, "DROP TABLE shop.area CASCADE", *statements)
        notes, area = Notes(), Selection(("shop.area",))
        restore_part(postgres_server, place, area, slug="shop", adds=True, progress=notes)
        assert any(f"{note} foreign key shop.area area_seat_fkey" in line for line in notes.lines)
        assert contents(postgres_server, TARGET)["shop.area"] == before["shop.area"]


def test_what_is_there_is_named_and_none_of_it_touched(
    postgres_server: PostgresServer, place: Place
) -> None:
    restore_part(postgres_server, place, Selection(("public.egg",)))
    before = contents(postgres_server, TARGET)
    with pytest.raises(TargetNotEmpty, match="there already: public.egg"):
        tables_into(postgres_server, place, "public.customer", "public.egg", "public.chicken")
    assert contents(postgres_server, TARGET) == before


def test_tables_come_beside_the_living_ones_under_another_schema(
    postgres_server: PostgresServer, place: Place
) -> None:
    tables = ("public.customer", "public.sale", "public.names")
    restore_part(postgres_server, place, Selection(tables))
    postgres_server.execute(TARGET, "TRUNCATE customer, sale")
    before = contents(postgres_server, TARGET)
    oid = "SELECT 'public'::regnamespace::oid, 'public.customer'::regclass::oid"
    schema = postgres_server.rows(TARGET, oid)
    tables_into(postgres_server, place, *tables, schemas_as="as_of_monday")
    here, there = contents(postgres_server, TARGET), contents(postgres_server, SOURCE)
    assert {name: here[name] for name in before} == before
    assert here["as_of_monday.sale"] == there["public.sale"]
    default = "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = '{}'::regclass"
    for name in ("sale", "as_of_monday.sale"):
        [(value,)] = postgres_server.rows(TARGET, default.format(name))
        assert value == f"nextval('{name}_id_seq'::regclass)"
    assert postgres_server.rows(TARGET, "SELECT count(*) FROM as_of_monday.names") == [(500,)]
    assert postgres_server.rows(TARGET, oid) == schema
    with pytest.raises(TargetNotEmpty, match="schema as_of_monday exists already"):
        tables_into(postgres_server, place, *tables, schemas_as="as_of_monday")


def test_others_see_a_schema_that_steps_aside_as_ever(
    postgres_server: PostgresServer, place: Place
) -> None:
    """Nobody waits, and nobody finds a schema gone or empty meanwhile."""
    restore_part(postgres_server, place, Selection(("public.egg",)))
    seen: list[object] = []

    class Watching(Notes):
        def phase(self, name: str, total: int | None = None) -> None:
            seen.append((name, postgres_server.rows(TARGET, "SELECT count(*) FROM public.egg")))

    tables_into(postgres_server, place, "public.egg", schemas_as="x", progress=Watching())
    assert "making indexes and keys" in [name for name, _ in seen]  # type: ignore[misc,has-type]
    assert all(rows == [(1,)] for _, rows in seen)  # type: ignore[misc,has-type]


def test_a_table_that_others_hold_locked_is_not_waited_for_without_end(
    postgres_server: PostgresServer, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "covetbackup.core.databases.postgresql.restore.into_existing.session"
    monkeypatch.setattr(f"{module}._LOCK_TIMEOUT", "SET lock_timeout = '50ms'")
    made(postgres_server, place, "shop.branch", "shop.area", slug="shop")
    with postgres_server.connect(TARGET) as other, other.transaction():
        other.execute("LOCK TABLE shop.branch IN ROW EXCLUSIVE MODE")
        with pytest.raises(ServerBusy, match=TARGET):
            rows_into(postgres_server, place, "shop.branch", "shop.area", slug="shop")


def test_everything_at_once_goes_into_no_database_that_is_there(
    postgres_server: PostgresServer, place: Place
) -> None:
    postgres_server.create_database(TARGET)
    with pytest.raises(BadSetting, match="only what is selected"):
        restore_part(postgres_server, place, None, adds=True)  # type: ignore[arg-type]
