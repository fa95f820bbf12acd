#!/bin/sh
# Exit status 0 if a PostgreSQL server and its clients are installed here. Debian keeps both out
# of PATH, and a machine with the clients alone cannot run a private server.
for initdb in "$(command -v initdb)" /usr/lib/postgresql/*/bin/initdb; do
    if [ -x "$initdb" ] && [ -x "$(dirname "$initdb")/pg_dump" ]; then
        exit 0
    fi
done
exit 1
