"""The grammar of the command line. The commands themselves are in `commands`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from covetbackup.core.cli import commands
from covetbackup.core.cli.manual import ManualFormatter, description, epilog
from covetbackup.core.cli.manuals import MANUALS, ROOT
from covetbackup.core.cli.report import Report
from covetbackup.core.cli.selection_args import add_further_options, add_selection
from covetbackup.core.crypto.suites import Suite
from covetbackup.core.manager import PLAIN, STREAMS
from covetbackup.core.operations.verify import VerifyLevel
from covetbackup.core.repository.volumes import VOLUME_SIZE


def parser() -> argparse.ArgumentParser:
    """Return the whole grammar.

    What it parses has the function to call in `command`, and in `takes_output` whether that writes
    bytes of its own to standard output.
    """
    root = argparse.ArgumentParser(
        prog="covet",
        description=description(ROOT),
        epilog=epilog(ROOT),
        formatter_class=ManualFormatter,
    )
    under = root.add_subparsers(required=True, metavar="COMMAND")
    _keygen(_command(under, "keygen"))
    _init(_command(under, "init"))
    _backup(_command(under, "backup"))
    _list(_command(under, "list"))
    _show(_command(under, "show"))
    _verify(_command(under, "verify"))
    _list_tables(_command(under, "list-tables"))
    _cat(_command(under, "cat"))
    _export(_command(under, "export"))
    _restore(_command(under, "restore"))
    _copy(_command(under, "copy"))
    _delete(_command(under, "delete"))
    _rotate(_command(under, "rotate"))
    _cleanup(_command(under, "cleanup"))
    return root


def _command(
    under: argparse._SubParsersAction[argparse.ArgumentParser], name: str
) -> argparse.ArgumentParser:
    manual = MANUALS[name]
    sub = under.add_parser(
        name,
        help=manual.summary,
        description=description(manual),
        epilog=epilog(manual),
        formatter_class=ManualFormatter,
    )
    sub.set_defaults(command=COMMANDS[name], takes_output=False)
    output = sub.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output")
    output.add_argument("--quiet", action="store_true", help="no progress on standard error")
    return sub


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


def _keygen(sub: argparse.ArgumentParser) -> None:
    files = sub.add_argument_group("files, which must not exist")
    files.add_argument("--working", type=Path, required=True, metavar="FILE", help="working keys")
    files.add_argument("--recovery", type=Path, required=True, metavar="FILE", help="recovery keys")


def _init(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("repo", metavar="REPO", help="an empty place")
    _storage(sub)


def _backup(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("source", metavar="SOURCE", help="the address of the database")
    stored = sub.add_argument_group("how it is stored")
    stored.add_argument("--repo", action="append", required=True, help="repeat to store copies")
    stored.add_argument("--name", default="", help="groups the backups of one source")
    stored.add_argument("--codec", default="zstd:3", help="none, gzip, bzip2, lzma or zstd, :level")
    stored.add_argument(
        "--cipher", default=Suite.AES_256_GCM.value, choices=[*Suite, PLAIN], help="encryption"
    )
    stored.add_argument(
        "--volume-size", type=int, default=VOLUME_SIZE, metavar="BYTES", help="of stored objects"
    )
    stored.add_argument(
        "--min-keys", type=int, default=2, metavar="N", help="keys that must open it; default: 2"
    )
    read = sub.add_argument_group("how the database is read")
    read.add_argument("--method", default="", help="of the database kind; default: its best")
    read.add_argument("--streams", type=int, default=STREAMS, help="parts that are read at once")
    read.add_argument("--workers", type=int, default=0, help="compressing threads; default: cores")
    _password(sub)
    _storage(sub)
    _keys(sub)


def _list(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("repo", metavar="REPO", help="the repository")
    sub.add_argument_group("filters").add_argument(
        "--name", default="", help="only backups of this source"
    )
    _storage(sub)


def _show(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    _keys(sub)


def _verify(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    how = sub.add_argument_group("verification")
    how.add_argument(
        "--level",
        type=VerifyLevel,
        choices=list(VerifyLevel),
        default=VerifyLevel.CONTENT,
        help="what is verified, see above; default: content",
    )
    how.add_argument(
        "--scratch", default="", metavar="TARGET", help="the server for --level restore; not SQLite"
    )
    _trust(how)
    _password(sub)
    _keys(sub)


def _list_tables(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    add_selection(sub)
    _keys(sub)


def _cat(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    sub.add_argument("member", metavar="MEMBER", help="its name, such as dump.pgc")
    sub.set_defaults(takes_output=True)
    _keys(sub)


def _export(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    sub.add_argument_group("target").add_argument(
        "--to", type=Path, required=True, metavar="FOLDER", help="must not exist"
    )
    _keys(sub)


def _restore(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    _target(sub)
    add_selection(sub).add_argument(
        "--data-only", action="store_true", help="rows without definitions; needs --into"
    )
    how = sub.add_argument_group("restore options")
    how.add_argument(
        "--jobs",
        type=int,
        help="connections that load at once; default: 2 for a backup stored in parts, else 1",
    )
    how.add_argument(
        "--owner", default="keep", help="keep, none, or a role that owns all; not SQLite"
    )
    how.add_argument(
        "--create-roles",
        action="store_true",
        help="create missing roles (MySQL, MariaDB: accounts) from the backup; not SQLite",
    )
    add_further_options(how)
    how.add_argument("--check", action="store_true", help="run the checks only; exit status 0 or 7")
    _trust(how)
    _password(sub)
    _keys(sub)


def _target(sub: argparse.ArgumentParser) -> None:
    group = sub.add_argument_group("target, exactly one")
    target = group.add_mutually_exclusive_group(required=True)
    target.add_argument("--as", dest="name", metavar="TARGET", help="a new database")
    target.add_argument(
        "--replace",
        metavar="TARGET",
        help="an existing database: replaced in one step, and retained under a dated name",
    )
    target.add_argument(
        "--into",
        metavar="TARGET",
        help="an existing database: the selected tables are added to it, all of them or none "
        "(MySQL, MariaDB: only with --data-only)",
    )


def _copy(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)
    target = sub.add_argument_group("target")
    target.add_argument("--to", required=True, metavar="REPO2", help="the other repository")
    target.add_argument(
        "--to-s3-credentials", type=Path, metavar="FILE", help="as --s3-credentials, for REPO2"
    )


def _delete(sub: argparse.ArgumentParser) -> None:
    _backup_in_repository(sub)


def _rotate(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("repo", metavar="REPO", help="the repository")
    new = sub.add_argument_group("new keys")
    for option in ("--new-key-file", "--new-passphrase-file"):
        new.add_argument(
            option, type=Path, action="append", default=[], metavar="FILE", help="repeat for more"
        )
    new.add_argument(
        "--min-keys", type=int, default=2, metavar="N", help="keys that must open it; default: 2"
    )
    _storage(sub)
    _keys(sub)


def _cleanup(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "place",
        metavar="REPO|SERVER",
        help="a repository, or the address of a server or folder (sqlite:////folder)",
    )
    sub.add_argument_group("filters").add_argument(
        "--older-than", type=float, default=24.0, metavar="HOURS", help="default: 24"
    )
    _storage(sub)
    _password(sub)


def _backup_in_repository(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("repo", metavar="REPO", help="the repository")
    sub.add_argument("label", metavar="LABEL", help="a label, an id or its beginning, or latest")
    _storage(sub)


def _storage(sub: argparse.ArgumentParser) -> None:
    sub.add_argument_group("storage").add_argument(
        "--s3-credentials",
        type=Path,
        metavar="FILE",
        help="access_key_id= and secret_access_key=; default: what AWS tools would use",
    )


def _keys(sub: argparse.ArgumentParser) -> None:
    keys = sub.add_argument_group("keys")
    for option in ("--key-file", "--passphrase-file"):
        keys.add_argument(
            option, type=Path, action="append", default=[], metavar="FILE", help="repeat for more"
        )


def _password(sub: argparse.ArgumentParser) -> None:
    sub.add_argument_group("connection").add_argument(
        "--password-file", type=Path, metavar="FILE", help="of the database role"
    )


def _trust(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--accept-untrusted",
        action="store_true",
        help="restore even if no trusted signer vouches for the backup",
    )
