"""PostgreSQL's own regression database: about a thousand objects of every kind there is.

Made as PostgreSQL's developers make it, by running the scripts of `src/test/regress` from Debian's
source package one after the other. Their output is not judged: only what they leave behind counts.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.other_suites import Unobtainable, unpacked_alone, unpacked_source
from tests.support.postgres_server import PostgresServer

DATABASE = "regression"
_SUITES = {15: "bookworm", 17: "trixie", 18: "sid"}
_SCRIPT_SECONDS = 300
# As pg_regress does, so that output and defaults do not follow this machine's locale.
_SETTINGS = {
    "lc_messages": "C",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "lc_time": "C",
    "bytea_output": "hex",
    "timezone_abbreviations": "Default",
}


def make_regression_database(server: PostgresServer) -> str:
    """Create the database on `server`, which takes one to two minutes. Raises `Unobtainable`
    without Debian's source package, the server's headers or a C compiler."""
    suite = _SUITES.get(server.major)
    if suite is None:
        raise Unobtainable(f"no suite is known to have the sources of PostgreSQL {server.major}")
    sources = unpacked_source(suite, f"postgresql-{server.major}", "src/test/regress")
    server.create_database(DATABASE, "TEMPLATE template0")
    for name, value in _SETTINGS.items():
        server.execute("postgres", f"ALTER DATABASE {DATABASE} SET {name} TO '{value}'")
    work = server.directory / "regress"  # stays, as functions of the database are loaded from it
    for folder in (work, work / "results"):
        folder.mkdir()
        folder.chmod(0o777)  # the server, which is another user, writes files there
    _build_library(server, suite, sources, work)
    for script in _scripts(sources):
        _run_script(server, script, sources, work)
    return DATABASE


def _scripts(sources: Path) -> Iterator[Path]:
    for line in (sources / "parallel_schedule").read_text().splitlines():
        if line.startswith("test:"):
            yield from (sources / "sql" / f"{name}.sql" for name in line.split()[1:])


def _build_library(server: PostgresServer, suite: str, sources: Path, work: Path) -> None:
    """Functions in C that the scripts create, beside those of the server's own that they use."""
    compiler = shutil.which("gcc")
    if compiler is None:
        raise Unobtainable("there is no C compiler here")
    root = unpacked_alone(suite, f"postgresql-server-dev-{server.major}")
    headers = root / f"usr/include/postgresql/{server.major}/server"
    for name in ("autoinc.so", "refint.so"):
        shutil.copy(server.binaries.parent / "lib" / name, work / name)
    built = subprocess.run(
        [compiler, "-O1", "-w", "-shared", "-fPIC", f"-I{headers}", f"-I{sources}"]
        + ["-o", work / "regress.so", sources / "regress.c"],
        capture_output=True,
        text=True,
    )
    if built.returncode:
        raise Unobtainable(f"regress.c does not compile: {built.stderr[-500:]}")


def _run_script(server: PostgresServer, script: Path, sources: Path, work: Path) -> None:
    if not script.exists():  # of an older schedule, where a script is made from a template
        return
    subprocess.run(
        [server.binaries / "psql", "-X", "-a", "-q", "-d", DATABASE]
        + ["-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-f", script],
        env={
            "PATH": os.environ["PATH"],
            "PGHOST": "127.0.0.1",
            "PGPORT": str(server.port),
            "PGUSER": "postgres",
            "PGPASSWORD": server.password.reveal(),
            "PGTZ": "America/Los_Angeles",
            "PGDATESTYLE": "Postgres, MDY",
            "PGOPTIONS": "-c intervalstyle=postgres_verbose",
            "PG_ABS_SRCDIR": str(sources),
            "PG_ABS_BUILDDIR": str(work),
            "PG_LIBDIR": str(work),
            "PG_DLSUFFIX": ".so",
        },
        cwd=work,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_SCRIPT_SECONDS,
    )
