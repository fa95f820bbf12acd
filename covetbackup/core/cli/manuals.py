"""The texts of `--help` of each command of the engine, beside its options."""

from __future__ import annotations

from covetbackup.core.cli.manual import Manual

ROOT = Manual(
    "back up, verify and restore PostgreSQL, MySQL, MariaDB and SQLite databases",
    """REPO is file:///path or s3://bucket/prefix?endpoint=https://…

SOURCE and TARGET are postgresql://user@host:port/database, mysql://user@host:port/database (for
MariaDB too) or sqlite:////absolute/path.

LABEL is a label as `list` shows it, a backup id or its first 4 digits or more, or "latest".

Passwords and keys are read from files, never from arguments. `covet COMMAND --help` describes a
command with an example.""",
    """
    covet keygen --working working.key --recovery recovery.key
    covet init file:///srv/backups
    covet backup sqlite:////srv/shop.sqlite --repo file:///srv/backups --key-file working.key
    """,
)

MANUALS = {
    "keygen": Manual(
        "make a working key file and a recovery key file",
        """The working keys stay on the machine that takes backups: they write, sign and read. The
        recovery keys open every backup too; move that file away from this machine.""",
        "covet keygen --working working.key --recovery recovery.key",
    ),
    "init": Manual(
        "initialise a repository in an empty folder or prefix",
        """What the storage cannot do (sync, file modes, hard links, locks) is reported as a
        warning.""",
        "covet init file:///srv/backups",
    ),
    "backup": Manual(
        "back up a database",
        """One snapshot is read, compressed, encrypted and stored in every repository in one pass.
        The backup exists once its manifest is stored. A repository that fails does not keep the
        others from the backup; the exit status is then 5.""",
        """
        covet backup postgresql://backup@db.example.org/shop --password-file pg.password \\
            --repo file:///srv/backups --key-file working.key
        """,
    ),
    "list": Manual(
        "list the backups in a repository",
        "No key is needed. A backup whose manifest cannot be read is listed as damaged.",
        "covet list file:///srv/backups",
    ),
    "show": Manual(
        "show one backup with its members and contents",
        "Hosts, tables and row counts are in the encrypted part of the manifest: a key is needed.",
        "covet show file:///srv/backups latest --key-file working.key",
    ),
    "verify": Manual(
        "verify one backup",
        """Levels: exists (all objects are there), checksum (stored bytes are those that were
        written), sampled (random parts decrypt and decompress), content (everything does),
        restore (restored to a scratch database, compared with the manifest and removed).""",
        "covet verify file:///srv/backups latest --level content --key-file working.key",
    ),
    "list-tables": Manual(
        "list the tables of a backup with their sizes",
        """With --table or --schema, only the selected tables with their dependencies, and what is
        left out. PostgreSQL, MySQL and MariaDB.""",
        "covet list-tables file:///srv/backups latest --schema billing --key-file working.key",
    ),
    "cat": Manual(
        "write the plain bytes of a member to standard output",
        "Everything else is printed to standard error. `show` lists the members.",
        "covet cat file:///srv/backups latest dump.pgc --key-file working.key | pg_restore -l",
    ),
    "export": Manual(
        "write a PostgreSQL backup in pg_dump's directory format",
        "The folder must not exist; `pg_restore --jobs=N` reads it.",
        "covet export file:///srv/backups latest --to /tmp/shop.dir --key-file working.key",
    ),
    "restore": Manual(
        "restore a backup into a new or an existing database",
        """--as makes a new database, which appears only once it is complete and was compared with
        the manifest. --replace builds it beside the existing database and swaps the two in one
        step; the replaced database is retained under a dated name. --into adds the selected
        tables to an existing database in one transaction.""",
        """
        covet restore file:///srv/backups latest --password-file pg.password \\
            --as postgresql://admin@db.example.org/shop_restored --key-file working.key
        """,
    ),
    "copy": Manual(
        "copy a backup to another repository",
        "Byte for byte; no key is needed and the database is not read again.",
        "covet copy file:///srv/backups latest --to file:///mnt/second",
    ),
    "delete": Manual(
        "delete a backup for good",
        "The manifest is removed first, so that no backup is ever listed without its data.",
        "covet delete file:///srv/backups 20260101",
    ),
    "rotate": Manual(
        "wrap the keys of all backups for new keys",
        """Only the small keys objects are written again, no data. The new keys open every backup
        afterwards, the old ones none. Exit status 5: some old keys objects could not be
        removed.""",
        """
        covet keygen --working new.key --recovery new-recovery.key
        covet rotate file:///srv/backups --key-file working.key --new-key-file new.key
        """,
    ),
    "cleanup": Manual(
        "remove what killed backups and restores left behind",
        """In a repository: unfinished backups and uploads. On a server or in a folder of SQLite
        files: scratch databases of restores. Only what is older than --older-than.""",
        "covet cleanup file:///srv/backups --older-than 24",
    ),
}
