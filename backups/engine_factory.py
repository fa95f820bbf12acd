"""Objects of the engine for rows of the catalog. Stored secrets are decrypted here for use."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings

from backups import ca_certificates, secrets
from backups.hosts import check_endpoint, checked_address
from backups.models import Database, EncryptionKey, Repository, Server
from backups.models.repository import KeyState, RepositoryKind
from backups.roots import check_folder
from covetbackup.access.models import Team
from covetbackup.core.crypto import keyfile
from covetbackup.core.crypto.keyring import Keyring
from covetbackup.core.databases.base import Engine
from covetbackup.core.databases.kind import Address, Kind
from covetbackup.core.databases.registry import kind_named
from covetbackup.core.databases.server import ServerLocation
from covetbackup.core.errors import BadSetting, Conflict, StorageUnavailable
from covetbackup.core.repository.repository import BackupRepository
from covetbackup.core.storage.base import Storage
from covetbackup.core.storage.registry import S3Credentials, open_storage
from covetbackup.core.storage.retry import Retry
from covetbackup.core.stream.secret import Secret


def engine_for(database: Database) -> Address:
    """Return the engine that reads `database`. Opens no connection; resolves the server's host.

    Raises `BadSetting`, `SecretsLocked`, `DatabaseUnavailable` for a host name without an address.
    """
    return engine_on(database.server, database.name)


def engine_on(server: Server, name: str) -> Address:
    """Return the engine for a database of `server` that need not exist: a restore's target.

    Raises as `engine_for`.
    """
    location = _resolved_location(server)
    return _kind(server).open(location, name, server_password(server), partial(file_in, server))


def server_engine(server: Server, password: Secret | None = None) -> Engine:
    """Return the engine of `server` as a whole.

    It tests and discovers the server, checks restores to it and replaces its databases. Names that
    it is given then are checked as `file_in` does. `password` is used instead of the stored one; an
    unsaved server has none stored. Raises as `engine_for`.
    """
    if server.folder:
        check_folder(Path(server.folder))
    location = _resolved_location(server)
    if password is None and server.pk:
        password = server_password(server)
    return _kind(server).open(location, None, password, partial(file_in, server)).engine


def shown_address(server: Server, name: str) -> str:
    """Return the address of the database `name` of `server` to show it; nothing is checked."""
    return _kind(server).url_of(location_of(server), name)


def refuse_path(server: Server, name: str) -> None:
    """Raise `BadSetting` for the name of a file that may not be in the server's folder.

    For servers that are no folders it does nothing.
    """
    if not server.folder:
        return
    try:
        file_in(server, name)
    except OSError as error:
        raise BadSetting(f"{server.folder} cannot be looked into: {error.strerror}") from error


def target_on(server: Server, name: str) -> str:
    """Return the engine's name for the database `name` of `server`: `RestoreRequest.database`."""
    if server.folder:
        file_in(server, name)
    return shown_address(server, name)


def location_of(server: Server) -> ServerLocation:
    """Return the address of `server` without its password; its host is not resolved.

    Raises `BadSetting` if the file of its CA certificates cannot be written.
    """
    return ServerLocation(
        host=server.host,
        port=server.port,
        user=server.user,
        sslmode=server.sslmode,
        sslrootcert=ca_certificates.file_for(server) if server.host else "",
        maintenance_database=server.maintenance_database,
        folder=server.folder,
    )


def _resolved_location(server: Server) -> ServerLocation:
    """Return how `server` is reached, at the address that was checked. Errors: `engine_for`."""
    location = location_of(server)
    return location if server.folder else replace(location, address=_address(server))


def _kind(server: Server) -> Kind:
    return kind_named(server.kind)


def server_password(server: Server) -> Secret | None:
    """Return the stored password of `server`. Raises `SecretsLocked`, `Tampered`."""
    text = secrets.decrypt_field(server, "password")
    return Secret(text) if text else None


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
    """Return the path of the file `name` in the folder of `server`.

    Raises `BadSetting` for anything that is not a plain name in that folder, a link, the
    dashboard's own catalog, and a folder that `roots` does not allow.
    """
    folder = Path(server.folder)
    path = folder / name
    if not folder.is_absolute() or path.parent != folder or name in ("", ".", "..") or "\0" in name:
        raise BadSetting(f"{name[:80]!r} is not a file name in {server.folder}")
    if is_own_catalog(path):
        raise BadSetting(f"{path} is the dashboard's own catalog", "choose another file")
    check_folder(folder)
    if path.is_symlink():
        raise BadSetting(f"{path} is a link", "register the folder that holds the file itself")
    return path


def is_own_catalog(path: Path) -> bool:
    """Return whether the file at `path` is the dashboard's own catalog."""
    catalog = settings.DATABASES["default"]
    if not str(catalog["ENGINE"]).endswith("sqlite3"):
        return False
    try:
        return path.samefile(str(catalog["NAME"]))
    except OSError:
        return False


def open_repository(repository: Repository, *, retry: Retry | None = None) -> BackupRepository:
    """Open the repository of a row; errors name it as the row does.

    Raises `BadSetting` if there is none, or another one than the row was created for,
    `AccessRefused`, `StorageUnavailable`, `SecretsLocked`.
    """
    opened = BackupRepository.open(storage_of(repository, retry=retry), name=repository.name)
    if repository.engine_id and opened.id != repository.engine_id:
        raise BadSetting(
            f"the location of {repository.name} holds another repository, {opened.id}",
            "was a different disk mounted there? add it as a repository of its own",
        )
    return opened


def storage_of(repository: Repository, *, retry: Retry | None = None) -> Storage:
    """Return the storage at the row's URL, which is checked again; nothing is contacted yet."""
    credentials = stored_credentials(repository)
    check_storage_url(repository.url, has_credentials=credentials is not None)
    return open_storage(repository.url, credentials, retry=retry)


def stored_credentials(repository: Repository) -> S3Credentials | None:
    """Return the stored credentials of `repository`. Raises `SecretsLocked`, `Tampered`."""
    text = secrets.decrypt_field(repository, "credentials")
    return S3Credentials(**json.loads(text)) if text else None


def refuse_shared(repository: Repository) -> None:
    """Raise `Conflict` if the location of `repository` is registered already, by any team.

    Another address of the same location counts: a team that registers a location may read and
    remove its objects.
    """
    same = Repository.objects.filter(engine_id=repository.engine_id).exclude(pk=repository.pk)
    if same.exists():
        raise Conflict(
            f"the location of {repository.name} is registered already",
            "is it in the list under another name, or does another team use it?",
        )


def check_storage_url(url: str, *, has_credentials: bool) -> RepositoryKind:
    """Return the kind of the storage at `url`.

    Raises `BadSetting` for one that is not allowed here, and `StorageUnavailable` for an endpoint
    without an address.
    """
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
    """Raise `BadSetting` unless `path`, links followed, is below an allowed root."""
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
    """Return all keys of the team, which open its backups. Raises `SecretsLocked`."""
    return _keyring(team.keys.exclude(state=KeyState.RETIRED))


def writing_keyring_for(team: Team) -> Keyring:
    """Return the team's active keys: new backups get a slot for each. Raises `SecretsLocked`."""
    return _keyring(team.keys.filter(state=KeyState.ACTIVE))


def _keyring(rows: Iterable[EncryptionKey]) -> Keyring:
    lines = (secrets.decrypt_field(row, "secret") or row.public for row in rows)
    return Keyring.of([keyfile.decode(line) for line in lines])
