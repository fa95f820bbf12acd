"""Which lines of a failed program's messages are kept, on what the programs really print."""

from __future__ import annotations

import sys

import pytest

from covetbackup.core.errors import SourceFailed
from covetbackup.core.stream.process import run
from covetbackup.core.stream.reason import reason_lines

PG_RESTORE = """\
pg_restore: warning: something small
pg_restore: error: could not execute query: ERROR:  type "earth" does not exist
LINE 1: ...ians($1))*sin(radians($2))),earth()*sin(radians($1)))::earth
                                                                  ^
QUERY:  SELECT cube(cube(cube(earth()*cos(radians($1))*cos(radians($2)))))::earth
CONTEXT:  SQL function "ll_to_earth" during inlining
Command was: CREATE INDEX place_idx ON public.place USING gist (public.ll_to_earth(lat, lon));


pg_restore: error: a worker process died unexpectedly
"""
CASES = {
    PG_RESTORE: [
        'pg_restore: error: could not execute query: ERROR:  type "earth" does not exist',
        'CONTEXT:  SQL function "ll_to_earth" during inlining',
        "Command was: CREATE INDEX place_idx ON public.place USING gist"
        " (public.ll_to_earth(lat, lon));",
        "pg_restore: error: a worker process died unexpectedly",
    ],
    "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout\n"
    "pg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE\n": [
        "pg_dump: error: query failed: ERROR:  canceling statement due to lock timeout",
        "pg_dump: detail: Query was: LOCK TABLE public.a IN ACCESS SHARE MODE",
    ],
    "psql:/proc/self/fd/3:5: FEHLER:  42P01: Relation »a« existiert nicht\n"
    "LINE 1: COPY a\n             ^\nORT:  parserOpenTable, parse_relation.c:1381\n": [
        "psql:/proc/self/fd/3:5: FEHLER:  42P01: Relation »a« existiert nicht"
    ],
    "--------------\nCREATE VIEW v AS\nSELECT 1\nFROM\nnowhere\nWHERE\nx\n--------------\n\n"
    "ERROR 1146 (42S02) at line 3: Table 'd.nowhere' doesn't exist\n": [
        "ERROR 1146 (42S02) at line 3: Table 'd.nowhere' doesn't exist"
    ],
    "mysqldump: [Warning] Using a password on the command line can be insecure.\n"
    "mysqldump: Couldn't execute 'SHOW CREATE VIEW `v`': View 'd.v' references\n"
    "invalid table(s)\nand\nso\non\nand\non\n": [
        "mysqldump: Couldn't execute 'SHOW CREATE VIEW `v`': View 'd.v' references"
    ],
    "mariadb-dump: Error 1412: Table definition has changed at row: 0\n": [
        "mariadb-dump: Error 1412: Table definition has changed at row: 0"
    ],
    "one\ntwo\nthree\nfour\nfive\nsix\n": ["two", "three", "four", "five", "six"],
    "\n": [],
}


@pytest.mark.parametrize(("printed", "kept"), CASES.items())
def test_the_error_of_a_program_is_kept_and_its_statement_is_not(
    printed: str, kept: list[str]
) -> None:
    assert reason_lines(printed) == kept


def test_one_long_line_does_not_push_the_error_out() -> None:
    found = reason_lines(f"ERROR:  no\nDETAIL:  {'x' * 5000}\n")
    assert found[0] == "ERROR:  no"
    assert len(found[1]) == 400


def test_a_program_that_fails_with_many_lines_is_reported_with_its_error() -> None:
    script = f"import sys; sys.stderr.write({PG_RESTORE!r}); sys.exit(1)"
    with pytest.raises(SourceFailed) as caught:
        run([sys.executable, "-c", script], name="pg_restore")
    assert caught.value.message.startswith(
        "pg_restore ended with status 1: pg_restore: error: could not execute query: ERROR:"
    )
