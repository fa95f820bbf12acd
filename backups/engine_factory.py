"""From rows of the catalog to objects of the engine: where secrets are unsealed for use."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings

from backups import ca_certificates, secrets
from backups.hosts import check_endpoint, checked_address
from backups.models import Database, EncryptionKey, Repository, Server
from backups.models.repository import KeyState, RepositoryKind
from backups.models.source import ServerKind
from backups.roots import check_sqlite_folder
from covetbackup.access.models import Team
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.base import Engine
from covetbackup.core.databases.kind import Address
from covetbackup.core.databases.mysql.engine import MysqlEngine
from covetbackup.core.databases.mysql.server.settings import ConnectionSettings as MysqlSettings
from covetbackup.core.databases.mysql.server.url import to_url as mysql_url
from covetbackup.core.databases.postgresql.engine import PostgresEngine
from covetbackup.core.databases.postgresql.server.connection import ConnectionSettings
from covetbackup.core.databases.postgresql.server.url import to_url as postgresql_url
from covetbackup.core.databases.sqlite.engine import SqliteEngine
from covetbackup.core.databases.sqlite.server.url import to_url as sqlite_url
from covetbackup.core.errors import BadSetting, Conflict, StorageUnavailable
from covetbackup.core.repository.repository import Repository as EngineRepository
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.stream.secret import Secret


def engine_for(database: Database) -> Address:
    """The engine that reads `database`. Opens no connection; resolves the server's host.

    Raises `BadSetting`, `SecretsLocked`, `DatabaseUnavailable` for a name without an address.
    """
    return engine_on(database.server, database.name)


def engine_on(server: Server, name: str) -> Address:
    """As `engine_for`, for a database of `server` that need not exist: a restore's target."""
    return _ENGINES[ServerKind(server.kind)](server, name)


def restore_engine(server: Server) -> Engine:
    """The engine of `server` as a whole, to check restores to it and replace its databases. The
    names that it is given then are checked as `file_in` does. Errors: `engine_for`."""
    return _SERVER_ENGINES[ServerKind(server.kind)](server)


def shown_address(server: Server, name: str) -> str:
    """As `target_on`, to be shown: nothing is checked."""
    if server.folder:
        return sqlite_url(Path(server.folder) / name)
    return target_on(server, name)


def refuse_path(server: Server, name: str) -> None:
    """Raise `BadSetting` for the name of a file that may not be in the server's folder; of other
    kinds of servers for nothing."""
    if not server.folder:
        return
    try:
        file_in(server, name)
    except OSError as error:
        raise BadSetting(f"{server.folder} cannot be looked into: {error.strerror}") from error


def target_on(server: Server, name: str) -> str:
    """Return the address of the database `name` of `server`, as command lines take it."""
    return _TARGETS[ServerKind(server.kind)](server, name)


def server_password(server: Server) -> Secret | None:
    """Raises `SecretsLocked`, `Tampered`."""
    text = secrets.unseal_field(server, "password")
    return Secret(text) if text else None


def connection_settings(server: Server, name: str) -> ConnectionSettings:
    """How to reach a PostgreSQL server, at the address that was checked. Errors: `engine_for`."""
    return replace(_postgresql_settings(server, name), address=_address(server))


def mysql_settings(server: Server, name: str = "") -> MysqlSettings:
    """How to reach a MySQL or MariaDB server, at the address that was checked. Errors:
    `engine_for`."""
    return replace(_mysql_settings(server, name), address=_address(server))


def _address(server: Server) -> str:
    """The address to connect to, as it was checked; "" for a socket of this machine."""
    if not server.host.startswith("/"):
        return checked_address(server.host, server.port)
    if not settings.SOCKET_HOSTS_ALLOWED:
        raise BadSetting(
            "sockets of this machine are not allowed as hosts here",
            "set COVET_SOCKET_HOSTS=1, or give a host name",
        )
    return ""


def file_in(server: Server, name: str) -> Path:
    """The path of the SQLite database `name`. Raises `BadSetting` for anything that is not a
    plain name in the server's folder, a link, the dashboard's own catalog, and a folder that
    `roots` does not allow."""
    folder = Path(server.folder)
    path = folder / name
    if not folder.is_absolute() or path.parent != folder or name in ("", ".", "..") or "\0" in name:
        raise BadSetting(f"{name[:80]!r} is not a file name in {server.folder}")
    if is_own_catalog(path):
        raise BadSetting(f"{path} is the dashboard's own catalog", "choose another file")
    check_sqlite_folder(folder)
    if path.is_symlink():
        raise BadSetting(f"{path} is a link", "register the folder that holds the file itself")
    return path


def is_own_catalog(path: Path) -> bool:
    catalog = settings.DATABASES["default"]
    if not str(catalog["ENGINE"]).endswith("sqlite3"):
        return False
    try:
        return path.samefile(str(catalog["NAME"]))
    except OSError:
        return False


def open_repository(repository: Repository, *, retry: Retry | None = None) -> EngineRepository:
    """The repository behind the row; errors name it as the row does.

    Raises `BadSetting` if there is none, or another one than the row was made for, `AccessRefused`,
    `StorageUnavailable`, `SecretsLocked`.
    """
    opened = EngineRepository.open(storage_of(repository, retry=retry), name=repository.name)
    if repository.engine_id and opened.id != repository.engine_id:
        raise BadSetting(
            f"the place of {repository.name} holds another repository, {opened.id}",
            "was a different disk mounted there? add it as a repository of its own",
        )
    return opened


def storage_of(repository: Repository, *, retry: Retry | None = None) -> Storage:
    """The storage at the row's URL, which is checked again; nothing is contacted yet."""
    credentials = stored_credentials(repository)
    check_place(repository.url, has_credentials=credentials is not None)
    return open_storage(repository.url, credentials, retry=retry)


def stored_credentials(repository: Repository) -> S3Credentials | None:
    text = secrets.unseal_field(repository, "credentials")
    return S3Credentials(**json.loads(text)) if text else None


def refuse_shared(repository: Repository) -> None:
    """Raises `Conflict` if the place of `repository` is registered already, by whatever team and
    address: who registers a place may read and remove what is in it."""
    same = Repository.objects.filter(engine_id=repository.engine_id).exclude(pk=repository.pk)
    if same.exists():
        raise Conflict(
            f"the place of {repository.name} is registered already",
            "is it in the list under another name, or does another team use it?",
        )


def check_place(url: str, *, has_credentials: bool) -> RepositoryKind:
    """What kind of place `url` is. Raises `BadSetting` for one that is not allowed here, and
    `StorageUnavailable` for an endpoint without an address."""
    parts = urlsplit(url)
    if parts.scheme == "file":
        check_root(Path(unquote(parts.path)))
        return RepositoryKind.LOCAL
    if parts.scheme != "s3":
        raise BadSetting(f"{parts.scheme[:20]!r} is not a kind of storage", "file:// or s3://")
    if not has_credentials and not settings.AMBIENT_S3_ALLOWED:
        raise BadSetting(
            "an S3 repository needs its own credentials",
            "give an access key; COVET_S3_AMBIENT=1 allows this machine's own",
        )
    endpoint = parse_qs(parts.query).get("endpoint", [""])[0]
    if endpoint:
        check_endpoint(endpoint, parts.netloc, error=StorageUnavailable)
    return RepositoryKind.S3


def check_root(path: Path) -> None:
    """Raises `BadSetting` unless `path`, links followed, is below an allowed root."""
    if "\0" in str(path):
        raise BadSetting("a path cannot contain a zero byte")
    place = path.resolve()
    roots = [root.resolve() for root in settings.REPOSITORY_ROOTS]
    if not any(place != root and place.is_relative_to(root) for root in roots):
        raise BadSetting(
            f"{str(path)[:200]} is not below a folder that may hold repositories",
            "allowed are folders below " + ", ".join(map(str, settings.REPOSITORY_ROOTS)),
        )


def keyring_for(team: Team) -> Keyring:
    """All keys of the team, to open backups with. Raises `SecretsLocked`."""
    return _keyring(team.keys.exclude(state=KeyState.RETIRED))


def writing_keyring_for(team: Team) -> Keyring:
    """The team's active keys: new backups get a slot for each. Raises `SecretsLocked`."""
    return _keyring(team.keys.filter(state=KeyState.ACTIVE))


def _keyring(rows: Iterable[EncryptionKey]) -> Keyring:
    lines = (secrets.unseal_field(row, "secret") or row.public for row in rows)
    return Keyring.of([keyfile.decode(line) for line in lines])


def _postgresql_settings(server: Server, name: str) -> ConnectionSettings:
    return ConnectionSettings(
        host=server.host,
        user=server.user,
        database=name,
        port=server.port,
        sslmode=server.sslmode,
        sslrootcert=ca_certificates.file_for(server),
    )


def _mysql_settings(server: Server, name: str) -> MysqlSettings:
    # The host may be the file of a socket.
    is_socket = server.host.startswith("/")
    return MysqlSettings(
        host="" if is_socket else server.host,
        socket=server.host if is_socket else "",
        user=server.user,
        database=name,
        port=server.port,
        sslmode=server.sslmode,
        sslrootcert=ca_certificates.file_for(server),
    )


def _postgresql(server: Server, name: str) -> Address:
    engine = PostgresEngine(connection_settings(server, name), server_password(server))
    return Address(engine, f"{server.host}:{server.port}", name)


def _mysql(server: Server, name: str) -> Address:
    found = mysql_settings(server, name)
    return Address(MysqlEngine(found, server_password(server)), found.where, name)


def _sqlite(server: Server, name: str) -> Address:
    path = file_in(server, name)
    return Address(SqliteEngine(path), str(path.parent), path.name)


def _postgresql_server(server: Server) -> Engine:
    settings = connection_settings(server, server.maintenance_database or "postgres")
    return PostgresEngine(settings, server_password(server))


def _mysql_server(server: Server) -> Engine:
    return MysqlEngine(mysql_settings(server), server_password(server))


def _sqlite_server(server: Server) -> Engine:
    folder = Path(server.folder)
    check_sqlite_folder(folder)
    return SqliteEngine(folder / "any", path_of=partial(file_in, server))


_SERVER_ENGINES: dict[ServerKind, Callable[[Server], Engine]] = {
    ServerKind.POSTGRESQL: _postgresql_server,
    ServerKind.MYSQL: _mysql_server,
    ServerKind.SQLITE: _sqlite_server,
}
_ENGINES: dict[ServerKind, Callable[[Server, str], Address]] = {
    ServerKind.POSTGRESQL: _postgresql,
    ServerKind.MYSQL: _mysql,
    ServerKind.SQLITE: _sqlite,
}
_TARGETS: dict[ServerKind, Callable[[Server, str], str]] = {
    ServerKind.POSTGRESQL: lambda server, name: postgresql_url(_postgresql_settings(server, name)),
    ServerKind.MYSQL: lambda server, name: mysql_url(_mysql_settings(server, name)),
    ServerKind.SQLITE: lambda server, name: sqlite_url(file_in(server, name)),
}
