"""Databases of a test server in any encoding, spoken to in it byte for byte."""

from __future__ import annotations

import subprocess

from tests.support.postgres import PostgresServer


def encoded(server: PostgresServer, encoding: str) -> str:
    options = f"ENCODING '{encoding}' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'"
    return server.create_database(f"encoded_{encoding.lower()}", options)


def run_script(server: PostgresServer, database: str, encoding: str, script: bytes) -> None:
    client(
        server,
        "psql",
        f"--dbname={database}",
        "--set=ON_ERROR_STOP=1",
        encoding=encoding,
        fed=script,
    )


def client(
    server: PostgresServer, program: str, *arguments: str, encoding: str = "", fed: bytes = b""
) -> bytes:
    place = [f"--port={server.port}", "--host=127.0.0.1", "--username=postgres", "--no-password"]
    environment = {"PGPASSWORD": server.password.reveal()}
    if encoding:
        environment["PGCLIENTENCODING"] = encoding
    done = subprocess.run(
        [server.binaries / program, *place, *arguments],
        env=environment, input=fed, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
