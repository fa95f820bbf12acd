"""The engine's command line, `python -m covetbackup.core`. See `cli.arguments`."""

from __future__ import annotations

from covetbackup.core.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
