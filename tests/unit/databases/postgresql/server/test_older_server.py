"""What pg_restore 18 prints at a server of version 15, and which of it is a failure."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from covetbackup.core.databases.postgresql.restore.loaders import PgRestore
from covetbackup.core.databases.postgresql.server.clients import PostgresClients, newer_than_server
from covetbackup.core.databases.postgresql.server.older_server import (
    sends_unknown_setting,
    tolerant_arguments,
)
from covetbackup.core.errors import SinkFailed

REFUSED = """\
pg_restore: connecting to database for restore
pg_restore: executing SELECT pg_catalog.set_config('search_path', '', false);
pg_restore: while INITIALIZING:
pg_restore: error: could not execute query: FEHLER:  ... »"transaction_timeout"«
Command was: SET transaction_timeout = 0;
pg_restore: creating TABLE "public.place"
""".replace("... »", "nicht erkannter Konfigurationsparameter ").replace("«", "")
FAILED = """\
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 3200; 1259 16400 INDEX place_name_idx postgres
pg_restore: error: could not execute query: ERROR:  no space
Command was: CREATE INDEX place_name_idx ON public.place USING btree (name);

"""


def run(printed: str, status: int) -> str:
    """What is kept of the messages of a program that prints this and ends so."""
    script = f"import sys; sys.stderr.write({printed!r}); sys.exit({status})"
    command = PgRestore(
        [sys.executable, "-c", script], {}, (), lambda: None, continues_after_errors=True
    )
    running = command.start_verbose("--exit-on-error")
    running.commit()
    return running.messages


def test_the_setting_that_an_older_server_refuses_is_no_failure() -> None:
    messages = run(REFUSED + "pg_restore: warning: errors ignored on restore: 1\n", 1)
    assert "transaction_timeout" not in messages and "creating TABLE" in messages
    assert run("", 0) == ""


@pytest.mark.parametrize(
    ("printed", "status"),
    [
        (REFUSED + FAILED + "pg_restore: warning: errors ignored on restore: 2\n", 1),
        (REFUSED, 1),  # it came to no end
        (REFUSED, 137),
    ],
)
def test_every_other_error_is_a_failure_and_is_named(printed: str, status: int) -> None:
    with pytest.raises(SinkFailed) as caught:
        run(printed, status)
    assert ("ERROR:  no space" in caught.value.message) is (FAILED in printed)
    assert "transaction_timeout" not in caught.value.message or FAILED not in printed


def test_only_programs_since_17_at_servers_before_17_are_run_so() -> None:
    versions = [(client, server) for client in (15, 17, 18) for server in (15, 16, 17)]
    assert [pair for pair in versions if sends_unknown_setting(*pair)] == [
        (17, 15),
        (17, 16),
        (18, 15),
        (18, 16),
    ]
    assert tolerant_arguments(["--exit-on-error", "--section=data", "--jobs=4"]) == [
        "--section=data"
    ]


def test_a_dump_by_newer_programs_says_so_with_the_package_to_install(tmp_path: Path) -> None:
    clients = PostgresClients(tmp_path, 18, "18.1")
    assert newer_than_server(clients, 18) == []
    (line,) = newer_than_server(clients, 15)
    assert "install postgresql-client-15" in line and "as the recovery guide says" in line
    assert "by hand" not in newer_than_server(clients, 17)[0]
