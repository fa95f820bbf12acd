"""What is kept of a server's message: code, state, names and position, and no values of rows."""

from __future__ import annotations

import logging

import pytest

from covetbackup.core.stream.diagnostics import without_rows
from covetbackup.log_format import LogFormatter

CASES = {
    "mariadb client": (
        "--------------\nINSERT INTO `t` VALUES (1,'secret'),\n(2,'x')\n--------------\n\n"
        "ERROR 1062 (23000) at line 2: Duplicate entry 'se'cret' for key 'PRIMARY'\n",
        "\nERROR 1062 (23000) at line 2: Duplicate entry '…' for key 'PRIMARY'\n",
    ),
    "mysql value": (
        "Incorrect integer value: 'secret' for column `e`.`t`.`n` at row 1",
        "Incorrect integer value: '…' for column `e`.`t`.`n` at row 1",
    ),
    "mysql characters": (
        "Cannot convert string 'secret' from utf8mb4 to latin1",
        "Cannot convert string '…' from utf8mb4 to latin1",
    ),
    "copy": (
        'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type'
        ' integer: "sec\nret"\nCONTEXT:  COPY t, line 2, column a: "sec\nret"\n',
        'pg_restore: error: COPY failed for table "t": ERROR:  invalid input syntax for type'
        ' integer: "…"\nCONTEXT:  COPY t, line 2, column a\n',
    ),
    "key": (
        'ERROR:  could not create unique index "u"\nDETAIL:  Key (a, lower(b))=(1, sec\nret) is'
        " duplicated.\nCommand was: CREATE UNIQUE INDEX u ON public.t USING btree (a);\n",
        'ERROR:  could not create unique index "u"\nDETAIL:  Key (a, lower(b))=(…)\n'
        "Command was: CREATE UNIQUE INDEX u ON public.t USING btree (a);\n",
    ),
    "row": (
        'psql:/x:7: ERROR:  23514: new row for relation "t" violates check constraint "c"\n'
        'DETAIL:  Failing row contains (1, secret).\nCONTEXT:  COPY t, line 3: "1\tsecret"\n',
        'psql:/x:7: ERROR:  23514: new row for relation "t" violates check constraint "c"\n'
        "CONTEXT:  COPY t, line 3\n",
    ),
    "traceback": (
        '  File "x.py", line 3, in run\n    raise\n'
        "psycopg.errors.UniqueViolation: duplicate key value violates unique constraint"
        ' "t_pkey"\nDETAIL:  Key (a)=(secret) already exists.\n\nThe above exception was\n',
        '  File "x.py", line 3, in run\n    raise\n'
        "psycopg.errors.UniqueViolation: duplicate key value violates unique constraint"
        ' "t_pkey"\nDETAIL:  Key (a)=(…)\nThe above exception was\n',
    ),
}


@pytest.mark.parametrize(("printed", "kept"), CASES.values(), ids=CASES)
def test_values_of_rows_are_cut_out_of_messages(printed: str, kept: str) -> None:
    assert without_rows(printed) == kept
    assert without_rows(kept) == kept


@pytest.mark.parametrize(
    "message",
    [
        'ERROR:  cannot drop it\nDETAIL:  view v depends on table "x"\nHINT:  Use CASCADE.',
        'database "x" is being accessed by other users\nDETAIL:  There are 2 other sessions.',
        'unrecognized configuration parameter "transaction_timeout"',
        "mariadb-dump: Error 1412: Table definition has changed, please retry `t` at row: 0\n",
        "ERROR 1067 (42000) at line 3: Invalid default value for 'at'",
    ],
)
def test_what_says_nothing_of_rows_is_kept(message: str) -> None:
    assert without_rows(message) == message


def test_no_line_of_the_log_quotes_a_row() -> None:
    record = logging.makeLogRecord({"msg": "failed: Duplicate entry 'secret' for key 'k'"})
    assert "secret" not in LogFormatter().format(record)
