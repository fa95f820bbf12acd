"""`python -m tests.bench [NAME …] [--quick]`: prints figures and their ratios, asserts nothing."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.bench import codecs, many_tables, mysql, pages, postgresql, report, sqlite, stream
from tests.bench.measure import Size

BENCHES = {
    "stream": stream.run,
    "postgresql": postgresql.run,
    "tables": many_tables.run,
    "mysql": mysql.run,
    "sqlite": sqlite.run,
    "memory": sqlite.memory,
    "codecs": codecs.run,
    "pages": pages.run,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHES))
    parser.add_argument("--quick", action="store_true", help="small data, one round, for trying")
    parser.add_argument("--huge", action="store_true", help="memory also of 5 GB")
    given = parser.parse_args()
    unknown = set(given.names) - set(BENCHES)
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    # By default a TERM would leave servers running and gigabytes in memory.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    report.head()
    for name, run in BENCHES.items():
        if name in (given.names or BENCHES):
            run(Size(given.quick, given.huge))


if __name__ == "__main__":
    main()
