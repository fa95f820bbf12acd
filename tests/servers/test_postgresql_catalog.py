"""The dashboard's tests once more, with their catalog on a PostgreSQL server. Slow.

There `SELECT … FOR UPDATE` locks, transactions run side by side, a failed statement ends its
transaction and types are strict: none of that is so with SQLite, on which they run otherwise.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_dashboard_passes_its_tests_on_a_postgresql_catalog(
    postgres_tidy: PostgresServer, tmp_path: Path
) -> None:
    postgres_tidy.create_database("catalog")
    user = f"postgres:{quote(postgres_tidy.password.reveal())}"
    url = f"postgresql://{user}@127.0.0.1:{postgres_tidy.port}/catalog?sslmode=disable"
    tests = subprocess.run(
        # those in `jobs` have catalogs of their own, of both kinds
        [
            sys.executable, "-m", "pytest", "tests/web", "--ignore=tests/web/jobs",
            f"--basetemp={tmp_path / 'temp'}",
        ],
        cwd=ROOT,
        env=os.environ | {"COVET_TEST_DATABASE_URL": url},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert tests.returncode == 0, tests.stdout[-20_000:] + tests.stderr[-2_000:]
