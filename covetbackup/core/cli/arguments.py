"""The grammar of the command line. What a command does stands in `commands`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from covetbackup.core.cli import commands
from covetbackup.core.cli.exits import EXITS
from covetbackup.core.cli.report import Report
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.manager import PLAIN, STREAMS
from covetbackup.core.operations.verify import Level
from covetbackup.core.repository.volumes import VOLUME_SIZE

_ABOUT = """Backs up, verifies and restores PostgreSQL, MySQL, MariaDB and SQLite databases.

REPO is file:///path or s3://bucket/prefix?endpoint=https://…
SOURCE and TARGET are postgresql://user@host:port/database, mysql://user@host:port/database (for
MariaDB too) or sqlite:////absolute/path.
LABEL is a label as `list` shows it, a backup id or its beginning, or "latest".
Secrets are read from files, never from arguments."""

_EXIT_CODES = "exit status:\n" + "\n".join(f"  {status:3}  {why}" for status, why in EXITS.items())


def parser() -> argparse.ArgumentParser:
    """The whole grammar; each command's function is in `command` of the result, and whether it
    writes bytes of its own to standard output in `takes_output`."""
    root = argparse.ArgumentParser(
        prog="covet",
        description=_ABOUT,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    under = root.add_subparsers(required=True, metavar="COMMAND")
    _keygen(_command(under, "keygen", "make a working key file and a recovery key file"))
    _init(_command(under, "init", "make an empty place a repository"))
    _backup(_command(under, "backup", "back up a database"))
    _list(_command(under, "list", "list backups; needs no key"))
    _show(_command(under, "show", "show one backup with its contents"))
    _verify(_command(under, "verify", "verify one backup"))
    _list_tables(_command(under, "list-tables", "list the tables of a backup, or what some need"))
    _cat(_command(under, "cat", "write the plain bytes of a member to standard output"))
    _export(_command(under, "export", "write a PostgreSQL backup as a directory of pg_dump"))
    _restore(_command(under, "restore", "restore into a new database"))
    _copy(_command(under, "copy", "copy a backup to another repository"))
    _delete(_command(under, "delete", "remove a backup for good"))
    _rotate(_command(under, "rotate", "rewrap all backups for new keys"))
    _cleanup(_command(under, "cleanup", "remove what killed backups and restores left"))
    return root


def _command(
    under: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    made = under.add_parser(name, help=about, description=about)
    made.set_defaults(command=COMMANDS[name], takes_output=False)
    made.add_argument("--json", action="store_true", help="one JSON object on standard output")
    made.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return made


COMMANDS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "keygen": commands.keygen,
    "init": commands.init,
    "backup": commands.backup,
    "list": commands.list_backups,
    "show": commands.show,
    "verify": commands.verify,
    "list-tables": commands.list_tables,
    "cat": commands.cat,
    "export": commands.export,
    "restore": commands.restore,
    "copy": commands.copy,
    "delete": commands.delete,
    "rotate": commands.rotate,
    "cleanup": commands.cleanup,
}


def _keygen(made: argparse.ArgumentParser) -> None:
    made.add_argument("--working", type=Path, required=True, metavar="FILE")
    made.add_argument("--recovery", type=Path, required=True, metavar="FILE")


def _init(made: argparse.ArgumentParser) -> None:
    made.add_argument("repo", metavar="REPO")
    _storage(made)


def _backup(made: argparse.ArgumentParser) -> None:
    made.add_argument("source", metavar="SOURCE")
    made.add_argument("--repo", action="append", required=True, help="repeat to store copies")
    made.add_argument("--name", default="", help="groups the backups of one source")
    made.add_argument("--method", default="", help="of the database kind; default: its best")
    made.add_argument("--codec", default="zstd:3", help="none, gzip, bzip2, lzma or zstd, :level")
    made.add_argument("--cipher", default=Suite.AES_256_GCM.value, choices=[*Suite, PLAIN])
    made.add_argument("--workers", type=int, default=0, help="compressing threads; default: cores")
    made.add_argument("--streams", type=int, default=STREAMS, help="parts that are read at once")
    made.add_argument("--volume-size", type=int, default=VOLUME_SIZE, metavar="BYTES")
    made.add_argument("--min-keys", type=int, default=2, help="keys a backup must open with")
    _password(made)
    _storage(made)
    _keys(made)


def _list(made: argparse.ArgumentParser) -> None:
    made.add_argument("repo", metavar="REPO")
    made.add_argument("--name", default="", help="only backups of this source")
    _storage(made)


def _show(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    _keys(made)


def _verify(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    made.add_argument("--level", type=Level, choices=list(Level), default=Level.CONTENT)
    made.add_argument("--scratch", default="", metavar="TARGET", help="for --level restore")
    _password(made)
    _keys(made)
    _trust(made)


def _list_tables(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    _selection(made)
    _keys(made)


def _selection(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--table",
        action="append",
        default=[],
        metavar="TABLE",
        help="only this one (PostgreSQL: SCHEMA.TABLE; not SQLite); repeat for more",
    )
    made.add_argument("--schema", action="append", default=[], help="all of it; repeat")
    made.add_argument(
        "--schema-only", action="store_true", help="of what --table and --schema name, no rows"
    )
    made.add_argument(
        "--rename-schema",
        action="append",
        default=[],
        metavar="OLD=NEW",
        help="what is restored of schema OLD comes as schema NEW (PostgreSQL); repeat",
    )


def _cat(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    made.add_argument("member", metavar="MEMBER")
    made.set_defaults(takes_output=True)
    _keys(made)


def _export(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    made.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="not there yet")
    _keys(made)


def _restore(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    _target(made)
    _selection(made)
    made.add_argument(
        "--data-only",
        action="store_true",
        help="no more than rows, into existing tables; needs --into",
    )
    made.add_argument(
        "--jobs",
        type=int,
        help="connections that load at once; default: 2 for a backup stored in parts, else 1",
    )
    made.add_argument(
        "--owner", default="", help="not SQLite: keep, none, or the role that shall own all"
    )
    made.add_argument(
        "--create-roles",
        action="store_true",
        help="create missing roles (MySQL, MariaDB: accounts) from the backup; not SQLite",
    )
    made.add_argument(
        "--enable-events",
        action="store_true",
        help="MySQL, MariaDB: let the scheduled events of a copy under another name run",
    )
    made.add_argument(
        "--leave-out-scheduler",
        action="store_true",
        help="PostgreSQL: leave out pg_cron; its jobs lie in schema left_out_cron",
    )
    made.add_argument(
        "--skip-failing",
        action="store_true",
        help="PostgreSQL: leave out what the server refuses to create, except tables, and name it",
    )
    _password(made)
    _keys(made)
    _trust(made)


def _target(made: argparse.ArgumentParser) -> None:
    target = made.add_mutually_exclusive_group(required=True)
    target.add_argument("--as", dest="name", metavar="TARGET", help="a new database")
    target.add_argument(
        "--replace",
        metavar="TARGET",
        help="an existing database: replaced in one step, and retained under a dated name",
    )
    target.add_argument(
        "--into",
        metavar="TARGET",
        help="an existing database: what --table and --schema select is added to it, all of it or "
        "nothing (MySQL, MariaDB: only with --data-only)",
    )


def _copy(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)
    made.add_argument("--to", required=True, metavar="REPO2")
    made.add_argument("--to-s3-credentials", type=Path, metavar="FILE")


def _delete(made: argparse.ArgumentParser) -> None:
    _backup_in_repository(made)


def _rotate(made: argparse.ArgumentParser) -> None:
    made.add_argument("repo", metavar="REPO")
    made.add_argument("--new-key-file", type=Path, action="append", default=[], metavar="FILE")
    made.add_argument(
        "--new-passphrase-file", type=Path, action="append", default=[], metavar="FILE"
    )
    made.add_argument("--min-keys", type=int, default=2)
    _storage(made)
    _keys(made)


def _cleanup(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "place",
        metavar="REPO|SERVER",
        help="a repository; or a server's address, or a folder's (sqlite:////folder), for what "
        "killed restores left there",
    )
    made.add_argument("--older-than", type=float, default=24.0, metavar="HOURS")
    _storage(made)
    _password(made)


def _backup_in_repository(made: argparse.ArgumentParser) -> None:
    made.add_argument("repo", metavar="REPO")
    made.add_argument("label", metavar="LABEL")
    _storage(made)


def _storage(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--s3-credentials",
        type=Path,
        metavar="FILE",
        help="access_key_id= and secret_access_key=; default: what AWS tools would use",
    )


def _keys(made: argparse.ArgumentParser) -> None:
    made.add_argument("--key-file", type=Path, action="append", default=[], metavar="FILE")
    made.add_argument("--passphrase-file", type=Path, action="append", default=[], metavar="FILE")


def _password(made: argparse.ArgumentParser) -> None:
    made.add_argument("--password-file", type=Path, metavar="FILE", help="of the database role")


def _trust(made: argparse.ArgumentParser) -> None:
    made.add_argument(
        "--accept-untrusted",
        action="store_true",
        help="restore even if no trusted signer vouches for the backup",
    )
