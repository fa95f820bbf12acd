"""Which hosts and folders may be used: threat rows 1, 2 and 8."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings

from backups import engine_factory
from backups.forms.servers import SERVER_FORMS
from backups.hosts import check_endpoint, checked_address
from backups.models import Repository
from backups.onboarding import add_repository
from covetbackup.access.models import Team
from covetbackup.core.databases import registry
from covetbackup.core.databases.kind import Address
from covetbackup.core.databases.postgresql.engine import PostgresKind
from covetbackup.core.databases.postgresql.server.url import parse_url
from covetbackup.core.databases.server import ServerLocation
from covetbackup.core.errors import BadSetting, Conflict, DatabaseUnavailable, StorageUnavailable
from tests.web.catalog import make_file, make_repository
from tests.web.factories import make_server

pytest_plugins = ["tests.web.catalog_fixtures"]

REFUSED = [
    "169.254.169.254",
    "[::ffff:169.254.169.254]".strip("[]"),
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "fd00:ec2::254",
    "fe80::1",
    "0.0.0.0",
    "::",
    "0x7f000001",
    "127.1",
    "2130706433",
    "0177.0.0.1",
    "127.0.0.1.",
    "100.100.100.200",
    "224.0.0.1",
    "255.255.255.255",
    "metadata.google.internal",
    "METADATA.google.internal.",
]


@pytest.mark.parametrize("host", REFUSED)
def test_a_host_that_is_not_to_be_contacted_is_refused_with_one_text(host: str) -> None:
    with pytest.raises(BadSetting) as caught:
        checked_address(host, 5432)
    assert caught.value.message == "this host is not allowed"


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "::1", "8.8.8.8"])
def test_private_and_public_addresses_may_be_contacted(host: str) -> None:
    assert checked_address(host, 5432) == host


def test_a_name_is_refused_if_any_of_its_addresses_is() -> None:
    def resolve(host: str, port: int) -> list[str]:
        return ["10.0.0.5", "169.254.169.254"]

    with pytest.raises(BadSetting):
        checked_address("db.example.com", 5432, resolve=resolve)


def test_the_address_that_was_checked_is_the_one_that_is_used(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["10.0.0.5", "169.254.169.254"])

    def resolve(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(2, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    used: list[ServerLocation] = []
    monkeypatch.setattr(
        PostgresKind, "open", lambda self, location, *_: used.append(location) or Address
    )
    engine_factory.engine_on(make_server(team, host="db.example.com"), "shop")
    assert (used[0].host, used[0].address) == ("db.example.com", "10.0.0.5")


def test_a_name_without_an_address_is_a_passing_fault() -> None:
    with pytest.raises(DatabaseUnavailable, match="cannot be resolved"):
        checked_address("host.invalid", 5432)


def test_the_dashboard_does_not_contact_itself() -> None:
    with override_settings(SITE_URL="http://127.0.0.1:8000"):
        assert checked_address("127.0.0.1", 5432) == "127.0.0.1"
        with pytest.raises(BadSetting):
            checked_address("127.0.0.1", 8000)
        with pytest.raises(BadSetting):
            checked_address("::1", 8000)


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254", "http://[::ffff:169.254.169.254]:80", "http://127.1:9000"]
)
def test_an_endpoint_is_checked_like_a_host(url: str) -> None:
    with pytest.raises(BadSetting, match="not allowed"):
        check_endpoint(url, "bucket", error=StorageUnavailable)


def test_an_endpoint_is_checked_again_whenever_the_repository_is_used(team: Team) -> None:
    url = "s3://bucket/x?endpoint=http%3A%2F%2F169.254.169.254"
    row = Repository.objects.create(team=team, name="moved", kind="s3", url=url)
    with override_settings(AMBIENT_S3_ALLOWED=True), pytest.raises(BadSetting, match="not allowed"):
        engine_factory.open_repository(row)


def test_s3_without_credentials_does_not_get_this_machines_own(team: Team) -> None:
    row = Repository.objects.create(team=team, name="ours", kind="s3", url="s3://bucket/x")
    with pytest.raises(BadSetting, match="needs its own credentials"):
        engine_factory.storage_of(row)


def test_a_socket_directory_is_a_host_only_where_the_owner_says_so(team: Team) -> None:
    server = make_server(team, host="/var/run/postgresql")
    with pytest.raises(BadSetting, match="socket"):
        engine_factory.engine_on(server, "shop")
    with override_settings(SOCKET_HOSTS_ALLOWED=True):
        assert engine_factory.engine_on(server, "shop").where == "/var/run/postgresql:5432"


@pytest.mark.parametrize(
    "name", ["shop", "host=evil port=1", "postgresql://evil/x", "a b/c?d#e%", "-x", "naïve 'q\""]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "/run/pg"])
def test_a_target_address_means_exactly_the_name(team: Team, host: str, name: str) -> None:
    target = engine_factory.target_on(make_server(team, host=host, user="back@up"), name)
    read = parse_url(target)
    assert (read.host, read.user, read.database) == (host, "back@up", name)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".", "", "a\0b"])
def test_a_file_name_cannot_leave_its_folder(team: Team, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadSetting):
        engine_factory.engine_on(make_server(team, folder=str(tmp_path)), name)


def test_a_link_to_a_file_elsewhere_is_not_a_database_of_the_folder(
    team: Team, tmp_path: Path
) -> None:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.db").symlink_to(make_file(tmp_path / "elsewhere.db"))
    with pytest.raises(BadSetting, match="link"):
        engine_factory.engine_on(make_server(team, folder=str(folder)), "shop.db")


def test_the_dashboards_own_catalog_is_no_database_of_a_team(team: Team) -> None:
    path = Path(str(settings.DATABASES["default"]["NAME"]))
    if path.suffix:
        with pytest.raises(BadSetting, match="own catalog"):
            engine_factory.engine_on(make_server(team, folder=str(path.parent)), path.name)


@pytest.mark.parametrize(
    "path", ["/etc", "/", "{vault}", "{vault}/../x", "{vault}/link/x", "{vault}/%00"]
)
def test_a_local_repository_lies_below_an_allowed_folder(
    vault: Path, team: Team, tmp_path: Path, path: str
) -> None:
    (vault / "link").symlink_to(tmp_path)
    row = Repository(team=team, name="bad", url="file://" + path.format(vault=vault))
    with pytest.raises(BadSetting, match="not below a folder|zero byte"):
        add_repository(row, None)
    assert not Repository.objects.exists()


def test_a_place_registered_by_one_team_is_not_given_to_another(
    vault: Path, team: Team, other_team: Team
) -> None:
    make_repository(team, vault / "first")
    with pytest.raises(Conflict) as caught:
        make_repository(other_team, vault / "first")
    assert team.name not in f"{caught.value.message} {caught.value.hint}"
    assert other_team.repositories.count() == 0


def test_another_disk_at_the_place_of_a_repository_is_noticed(
    vault: Path, repository: Repository, team: Team
) -> None:
    other = make_repository(team, vault / "other")
    (vault / "first").rename(vault / "away")
    (vault / "other").rename(vault / "first")
    with pytest.raises(BadSetting, match=f"another repository, {other.engine_id}"):
        engine_factory.open_repository(repository)


def test_the_engine_knows_every_kind_of_server() -> None:
    assert set(registry.ENTRIES) == set(SERVER_FORMS)
    in_files = [name for name in registry.ENTRIES if registry.capabilities(name).is_in_files]
    assert in_files == ["sqlite"]
