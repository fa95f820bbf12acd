"""Runs the dashboard's commands from a checkout, as `covetbackup` does where it is installed."""

from __future__ import annotations

import sys

from covetbackup.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
