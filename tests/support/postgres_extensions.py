"""A private server whose extensions are the installed ones and two of ours, written in SQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.postgres_server import PostgresServer, run_server

EXTENSION = "atlas"
_CONTROL = "comment = 'kinds of places'\ndefault_version = '1'\nrelocatable = false\n"
_SCRIPT = """
CREATE TABLE kinds (id serial PRIMARY KEY, name text NOT NULL);
INSERT INTO kinds (name) VALUES ('built in');
SELECT pg_extension_config_dump('kinds', 'WHERE id > 1');
CREATE SEQUENCE tickets;
SELECT pg_extension_config_dump('tickets', '');
CREATE DOMAIN kind AS integer;
CREATE FUNCTION kind_name(kind) RETURNS text LANGUAGE sql STABLE
  AS 'SELECT name FROM @extschema@.kinds WHERE id = $1';
"""
CODES = "codes"
"""Its values are checked against its own configuration, as pointcloud's are."""
_CODES = """
CREATE TABLE code_list (code text PRIMARY KEY, of regclass);
SELECT pg_extension_config_dump('code_list', '');
CREATE FUNCTION is_known(text) RETURNS bool LANGUAGE plpgsql STABLE AS
  'BEGIN IF NOT EXISTS (SELECT FROM @extschema@.code_list WHERE code = $1) THEN
   RAISE ''no entry for %'', $1; END IF; RETURN true; END';
CREATE DOMAIN code AS text CHECK (@extschema@.is_known(VALUE));
"""
_PROGRAMS = ("postgres", "initdb", "pg_ctl")


@contextmanager
def server_with_extension(binaries: Path) -> Iterator[PostgresServer]:
    """Run a copy of the server in `binaries`, which looks for its extensions beside itself. Raises
    `FileNotFoundError` for a server that is not laid out as Debian's."""
    with tempfile.TemporaryDirectory(prefix="covet-extension-") as name:
        root = Path(name)
        root.chmod(0o755)
        with run_server(_copied(binaries, root)) as server:
            yield server


def _copied(binaries: Path, root: Path) -> Path:
    prefix = binaries.parents[3]
    share = prefix / "share/postgresql" / binaries.parent.name
    own = root / "share/postgresql" / binaries.parent.name
    (own / "extension").mkdir(parents=True)
    for path in share.iterdir():
        if path.name != "extension":
            (own / path.name).symlink_to(path)
    for path in (share / "extension").iterdir():
        (own / "extension" / path.name).symlink_to(path)
    for name, script in ((EXTENSION, _SCRIPT), (CODES, _CODES)):
        (own / "extension" / f"{name}.control").write_text(_CONTROL)
        (own / "extension" / f"{name}--1.sql").write_text(script)
    programs = root / "lib/postgresql" / binaries.parent.name / "bin"
    programs.mkdir(parents=True)
    (programs.parent / "lib").symlink_to(binaries.parent / "lib")
    for path in binaries.iterdir():
        if path.name in _PROGRAMS:
            shutil.copy(path, programs / path.name)
        else:
            (programs / path.name).symlink_to(path)
    return programs
