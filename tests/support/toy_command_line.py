"""The engine's command line with a fourth kind of database."""

from __future__ import annotations

import sys

from covetbackup.core.cli.main import main
from covetbackup.core.databases.registry import ENTRIES
from tests.support import toy_kind

if __name__ == "__main__":
    ENTRIES[toy_kind.NAME] = toy_kind.REGISTERED
    sys.exit(main())
