"""Django for the tests of the dashboard: a catalog of their own, users of every role.

Each test runs in a transaction that is rolled back. A test that needs real commits, because other
connections or processes look at the catalog, asks for `committed_catalog`.

The catalog is SQLite; with `COVET_TEST_DATABASE_URL` an empty PostgreSQL database is used.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

VAR = Path(tempfile.mkdtemp(prefix="covet-web-"))
atexit.register(shutil.rmtree, VAR, ignore_errors=True)

for name in [name for name in os.environ if name.startswith("COVET_") and "TEST" not in name]:
    del os.environ[name]
os.environ["COVET_VAR"] = str(VAR)
os.environ["DATABASE_URL"] = os.environ.get("COVET_TEST_DATABASE_URL", "")
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.web.settings"
(VAR / "secret-key").write_text("a key for tests, " * 4)
(VAR / "secret-key").chmod(0o600)
(VAR / "static").mkdir()

import django  # noqa: E402

django.setup()

from django.contrib.auth.models import AnonymousUser  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.test import Client  # noqa: E402
from django.test.utils import setup_test_environment, teardown_test_environment  # noqa: E402

from covetbackup.access.models import Team, User  # noqa: E402
from covetbackup.access.roles import Role  # noqa: E402
from tests.web import factories  # noqa: E402

ClientOf = Callable[[User | AnonymousUser], Client]


@pytest.fixture(scope="session", autouse=True)
def _django() -> Iterator[None]:
    setup_test_environment(debug=False)
    call_command("migrate", verbosity=0, interactive=False)
    yield
    connection.close()
    teardown_test_environment()


@pytest.fixture(scope="session")
def _empty_catalog(_django: None) -> Path:
    """A copy of the migrated catalog, before any test wrote to it; of PostgreSQL there is none."""
    copy = VAR / "empty.sqlite3"
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM INTO %s", [str(copy)])
    return copy


@pytest.fixture(autouse=True)
def _rolled_back(request: pytest.FixtureRequest, _django: None) -> Iterator[None]:
    if "committed_catalog" in request.fixturenames:
        yield
        return
    with transaction.atomic() as _, _undone():
        yield


@pytest.fixture
def committed_catalog(_empty_catalog: Path) -> Iterator[Path]:
    """The path of the catalog; what a test writes is seen by other processes, and gone after it.

    Other connections and processes must be closed when the test ends.
    """
    path = Path(str(connection.settings_dict["NAME"]))
    yield path
    if connection.vendor == "postgresql":
        _empty_all_tables()
        return
    connection.close()
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    shutil.copyfile(_empty_catalog, path)


def _empty_all_tables() -> None:
    kept = {"django_migrations", "django_content_type", "auth_permission"}
    names = [name for name in connection.introspection.table_names() if name not in kept]
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")  # the audit log's triggers rest
        cursor.execute(f"TRUNCATE {', '.join(names)} CASCADE")
        cursor.execute("SET session_replication_role = origin")


@pytest.fixture
def team() -> Team:
    return factories.make_team("crew")


@pytest.fixture
def other_team() -> Team:
    return factories.make_team("others")


@pytest.fixture
def viewer(team: Team) -> User:
    return factories.make_member(team, Role.VIEWER, "vera")


@pytest.fixture
def operator(team: Team) -> User:
    return factories.make_member(team, Role.OPERATOR, "otto")


@pytest.fixture
def admin(team: Team) -> User:
    return factories.make_member(team, Role.ADMIN, "anna")


@pytest.fixture
def owner(team: Team) -> User:
    return factories.make_member(team, Role.OWNER, "olga")


@pytest.fixture
def stranger(other_team: Team) -> User:
    """An owner, but of another team."""
    return factories.make_member(other_team, Role.OWNER, "stan")


@pytest.fixture
def client() -> Client:
    """An anonymous visitor."""
    return Client()


@pytest.fixture
def client_of() -> ClientOf:
    """Gives a client that is signed in as the user, just now: dangerous acts are allowed."""
    return signed_in


def signed_in(user: User | AnonymousUser) -> Client:
    client = Client()
    if isinstance(user, User):
        client.force_login(user)
    return client


class _undone:
    """Leaves the transaction to be rolled back, however the block ends."""

    def __enter__(self) -> None:
        # as Django's TestCase does: code under test may ask for a durable transaction
        connection.atomic_blocks[-1]._from_testcase = True

    def __exit__(self, *_: object) -> None:
        transaction.set_rollback(True)
