"""`python -m covetbackup.core`: the engine's command line. See `cli.arguments`."""

from __future__ import annotations

from covetbackup.core.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
