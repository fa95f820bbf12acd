"""What is added to a database that is there and what lives in it: neither harms the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import psycopg
import pytest

from covetbackup.core.databases.inventory import Inventory
from covetbackup.core.databases.postgresql.archive.listing import ArchiveListing
from covetbackup.core.databases.postgresql.archive.member_names import HEAD
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.restore.into_existing import session
from covetbackup.core.databases.postgresql.server import connection as postgresql
from covetbackup.core.databases.selection import ResolvedSelection, Selection
from covetbackup.core.errors import BadSetting, Cancelled
from tests.support.postgres import PostgresRole, PostgresServer
from tests.support.postgres_backup import Notes, Taken, engine_for, fill, take
from tests.support.postgres_encoded import encoded, run_script
from tests.support.restore_requests import request_for

LIVING = "living"


@dataclass
class Shop:
    """A backup of a database, and `LIVING`, to which some of it is added."""

    server: PostgresServer
    taken: Taken
    notes: Notes = field(default_factory=Notes)

    def add(
        self,
        *tables: str,
        schemas_as: str = "",
        engine: PostgresEngine | None = None,
        progress: Notes | None = None,
        with_structure: bool = True,
        **extra: object,
    ) -> Inventory:
        options = request_for(
            LIVING,
            selection=selection_of(*tables, schemas_as=schemas_as, with_structure=with_structure),
            into_existing=with_structure,
            **extra,
        )
        progress = progress or self.notes
        with (engine or engine_for(self.server)).restore(
            options, self.taken.inventory, progress
        ) as session:
            fill(session, self.taken.members, progress=progress)
            inventory = session.inventory()
            session.commit()
        return inventory

    def rows_of(self, *tables: str, **more: object) -> Inventory:
        return self.add(*tables, with_structure=False, **more)  # type: ignore[arg-type]

    def resolved(self, *tables: str, schemas_as: str = "") -> ResolvedSelection:
        """What the contents say of it, before anything runs."""
        sizes = {name: len(content) for name, content in self.taken.members.items()}
        listing = ArchiveListing(self.taken.members[HEAD], sizes, self.taken.inventory)
        return listing.resolve(selection_of(*tables, schemas_as=schemas_as))

    def found(self, query: str) -> object:
        return self.server.rows(LIVING, query)


def selection_of(*tables: str, schemas_as: str, with_structure: bool = True) -> Selection:
    pairs = (("public", schemas_as),) if schemas_as else ()
    return Selection(tables, with_structure=with_structure, schemas_as=pairs)


MakeShop = Callable[..., Shop]


@pytest.fixture
def shop(postgres_tidy: PostgresServer, postgres_database: str) -> MakeShop:
    """A shop of these statements, whose living database is made by others of them."""

    def make(*statements: str, living: tuple[str, ...] = ()) -> Shop:
        postgres_tidy.execute(postgres_database, *statements)
        postgres_tidy.create_database(LIVING)
        postgres_tidy.execute(LIVING, *living)
        return Shop(postgres_tidy, take(engine_for(postgres_tidy, postgres_database)))

    return make


CITEXT = "CREATE EXTENSION citext"
WORDS = (
    CITEXT,
    "CREATE TYPE mood AS ENUM ('good', 'it''s public.mood')",
    "CREATE SEQUENCE numbers START 7",
    "CREATE TABLE word (id int DEFAULT nextval('numbers'), name citext PRIMARY KEY, mood mood"
    " DEFAULT NULL CHECK (name <> 'public.word' OR mood IS NULL))",
    "INSERT INTO word (name, mood) VALUES ('ACE', 'good')",
    "CREATE FUNCTION size(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length($1)'",
    "CREATE VIEW said AS SELECT word.name::text, size(word.name::text) FROM public.word"
    " WHERE word.name OPERATOR(public.=) 'ace'::citext",
)
MAKERS = (
    "CREATE TABLE maker (id int PRIMARY KEY)",
    "CREATE TABLE item (id int PRIMARY KEY, maker int REFERENCES maker)",
    "INSERT INTO maker VALUES (1), (2)",
    "INSERT INTO item VALUES (1, 1), (2, 2), (3, 2)",
)


def test_a_key_that_compares_by_an_extension_comes_as_well(shop: MakeShop) -> None:
    """The extension is there, and nothing is made of it; the key is."""
    one = shop(
        CITEXT,
        "CREATE TABLE maker (name citext PRIMARY KEY)",
        "CREATE TABLE item (id int PRIMARY KEY, maker citext REFERENCES maker)",
        living=(CITEXT,),
    )
    one.add("public.maker", "public.item")
    query = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND convalidated"
    assert one.found(query) == [("item_maker_fkey",)]


def test_the_address_that_was_checked_is_the_one_connected_to(shop: MakeShop) -> None:
    one = shop(*MAKERS)
    settings = replace(one.server.settings(), host="no.such.host.invalid", address="127.0.0.1")
    one.add("public.maker", engine=PostgresEngine(settings, one.server.password))
    assert one.found("SELECT count(*) FROM maker") == [(2,)]


def test_keys_are_strict_again_beside_others_that_wait(shop: MakeShop) -> None:
    waits = "ALTER TABLE item ADD self int DEFAULT 1 REFERENCES item DEFERRABLE INITIALLY DEFERRED"
    one = shop(*MAKERS, waits, living=(*MAKERS[:2], waits))
    other = "CREATE TABLE odd (id int PRIMARY KEY)"
    odd = "ALTER TABLE item ADD odd int DEFAULT 1 REFERENCES odd DEFERRABLE INITIALLY DEFERRED"
    one.server.execute(LIVING, other, "INSERT INTO odd VALUES (1)", odd)
    one.rows_of("public.maker", "public.item")
    query = "SELECT conname FROM pg_constraint WHERE contype = 'f' AND condeferrable ORDER BY 1"
    assert one.found(query) == [("item_odd_fkey",), ("item_self_fkey",)]
    assert one.found("SELECT count(*) FROM item") == [(3,)]


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_what_another_encoding_wrote_is_named_and_read_rightly(
    postgres_tidy: PostgresServer, encoding: str
) -> None:
    """Beside a name that the dump's encoding cannot say at all."""
    name = encoded(postgres_tidy, encoding)
    script = 'CREATE TABLE "été" (a text); INSERT INTO "été" VALUES (\'déjà\')'
    codec = {"LATIN1": "latin-1", "SQL_ASCII": "utf-8"}[encoding]
    run_script(postgres_tidy, name, encoding, script.encode(codec))
    postgres_tidy.create_database(LIVING)
    postgres_tidy.execute(LIVING, "CREATE TABLE 商品 (a int)")
    one = Shop(postgres_tidy, take(engine_for(postgres_tidy, name)))
    assert [table.label for table in one.add("public.été").tables] == ["public.été"]
    assert [table.rows for table in one.rows_of("public.été").tables] == [1]
    one.add("public.été", schemas_as="商品")
    assert one.found('TABLE "été"') == [("déjà",), ("déjà",)]
    assert one.found('TABLE 商品."été"') == [("déjà",)]


def test_a_public_schema_under_another_name_belongs_to_whoever_shall_own_all(
    shop: MakeShop, postgres_role: Callable[..., PostgresRole]
) -> None:
    """And everybody may use it, as ever."""
    one, owner, other = shop(*MAKERS), postgres_role(), postgres_role()
    one.add("public.maker", schemas_as="monday", owner=owner.name)
    schema = "FROM pg_namespace WHERE nspname = 'monday'"
    assert one.found(f"SELECT pg_get_userbyid(nspowner) {schema}") == [(owner.name,)]
    usage = f"SELECT has_schema_privilege('{other.name}', oid, 'USAGE') {schema}"
    assert one.found(usage) == [(True,)]


@pytest.mark.parametrize("living", [(CITEXT,), ()])
def test_a_needed_extension_stays_in_a_schema_that_comes_under_another_name(
    shop: MakeShop, living: tuple[str, ...]
) -> None:
    """Whether it is there or comes as well; and nothing that comes refers to what lives there."""
    one = shop(*WORDS, living=(*living, "CREATE TABLE word (mine int)", WORDS[5]))
    one.add("public.word", "public.said", schemas_as='mon"day')
    assert one.found(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'citext'"
    ) == [("public",)]
    assert one.found('SELECT name, size FROM "mon""day".said') == [("ACE", 3)]
    one.server.execute(
        LIVING,
        "DROP TABLE public.word; DROP FUNCTION size(text); "
        'INSERT INTO "mon""day".word (name) VALUES (\'two\')',
    )
    assert one.found('SELECT id, name, mood FROM "mon""day".word ORDER BY id') == [
        (7, "ACE", "good"),
        (8, "two", None),
    ]
    with pytest.raises(psycopg.errors.UniqueViolation):
        one.server.execute(LIVING, 'INSERT INTO "mon""day".word (name) VALUES (\'Two\')')


def test_a_name_that_an_extension_has_as_well_is_refused(shop: MakeShop) -> None:
    taken = (
        "CREATE FUNCTION citext_eq(int) RETURNS citext LANGUAGE sql IMMUTABLE"
        " AS 'SELECT ''a''::public.citext'"
    )
    one = shop(CITEXT, taken, "CREATE TABLE odd (a citext DEFAULT citext_eq(1))", living=(CITEXT,))
    with pytest.raises(BadSetting, match=r"public.citext_eq\(integer\) has the name of"):
        one.add("public.odd", schemas_as="monday")


def test_a_server_that_rests_in_the_midst_of_added_rows_is_not_lost(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For longer than what is sent may wait to be taken."""
    monkeypatch.setitem(postgresql.KEEPALIVES, "tcp_user_timeout", 1000)
    wide = "CREATE TABLE wide (g int, fat text)"
    rows = "INSERT INTO wide SELECT g, repeat(md5(g::text), 30) FROM generate_series(1, 15000) g"
    rests = (
        "CREATE FUNCTION rests(g int) RETURNS bool IMMUTABLE LANGUAGE plpgsql AS"
        " 'BEGIN IF g = 100 THEN PERFORM pg_sleep(6); END IF; RETURN true; END'"
    )
    one = shop(wide, rows, living=(wide, rests, "ALTER TABLE wide ADD CHECK (rests(g))"))
    one.rows_of("public.wide")
    assert one.found("SELECT count(*) FROM wide") == [(15000,)]


def test_tables_that_others_hold_locked_are_no_concern_of_others_that_come(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_LOCK_TIMEOUT", "SET lock_timeout = '1s'")
    one = shop(*MAKERS, living=("CREATE TABLE held (id int)",))
    with one.server.connect(LIVING) as other, other.transaction():
        other.execute("LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
        added = one.add("public.maker")
    assert [(table.label, table.rows) for table in added.tables] == [("public.maker", 2)]


# An index makes ANALYZE call it.
_FREE = """
CREATE FUNCTION free(id int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT 1 FROM pg_locks WHERE pid = pg_backend_pid()
             AND relation = 'public.maker'::regclass AND mode = 'ShareRowExclusiveLock')
  THEN RAISE 'maker is locked'; END IF;
  RETURN id;
END $$
"""


def test_others_write_to_a_table_that_a_key_leads_to_until_all_else_is_done(
    shop: MakeShop,
) -> None:
    one = shop(*MAKERS, _FREE, "CREATE INDEX ON item (free(id))", living=MAKERS[:1])
    one.server.execute(LIVING, "INSERT INTO maker VALUES (1), (2)")
    one.add("public.item")
    keys = "SELECT conname FROM pg_constraint WHERE contype = 'f'"
    assert one.found(keys) == [("item_maker_fkey",)]
    assert one.found("SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'item'") == [(True,)]


def test_a_key_out_of_a_schema_that_gets_another_name_is_left_out_and_said_so(
    shop: MakeShop,
) -> None:
    """Neither is a key that leads to what comes from what does not."""
    one = shop(*MAKERS, living=MAKERS[:1])
    assert one.resolved("public.item").external_foreign_keys == ("public.item item_maker_fkey",)
    assert one.resolved("public.maker").external_foreign_keys == ()
    assert one.resolved("public.item", schemas_as="monday").external_foreign_keys == ()
    one.add("public.item", schemas_as="monday")
    left_out = "left out, as not both tables are selected: foreign key public.item item_maker_fkey"
    assert [line for line in one.notes.lines if "foreign key" in line] == [left_out]


def test_a_cancel_is_heard_while_others_make_what_is_needed(
    shop: MakeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_LOCK_TIMEOUT", "SET lock_timeout = '5s'")
    mood = "CREATE TYPE mood AS ENUM ('good', 'bad')"
    one = shop(mood, "CREATE TABLE item (mood mood)")

    class Cancelling(Notes):
        def advance(self, count: int) -> None:
            if one.server.rows("postgres", _WAITS):
                raise Cancelled("somebody asked for it")

    with one.server.connect(LIVING) as other, other.transaction():
        other.execute(mood)
        with pytest.raises(Cancelled):
            one.add("public.item", progress=Cancelling())


_WAITS = f"""
SELECT 1 FROM pg_stat_activity WHERE datname = '{LIVING}'
  AND application_name LIKE 'covetbackup %' AND wait_event_type = 'Lock'
  AND query LIKE 'CREATE TYPE%'
"""
