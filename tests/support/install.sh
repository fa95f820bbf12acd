#!/bin/sh
# Install the programs the tests run and that no Python package brings. Silent when all are there.
set -eu

here=$(dirname "$0")
missing=""
# Its package also sets up a system service, which the tests neither use nor need.
for program in mariadbd mariadb-dump; do
    PATH="$PATH:/usr/sbin:/usr/local/sbin" command -v $program >/dev/null || missing=" mariadb-server"
done
"$here/has_postgresql.sh" || missing="$missing postgresql"
PATH="$PATH:/usr/sbin:/sbin" command -v pgbouncer >/dev/null || missing="$missing pgbouncer"
net=""
for program in ip tc; do # packets are dropped with them
    PATH="$PATH:/usr/sbin:/sbin" command -v $program >/dev/null || net=" iproute2"
done
missing="$missing$net"
for pair in sqlite3:sqlite3 zstd:zstd xz:xz-utils bzip2:bzip2 gzip:gzip; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
# Debian keeps the server's program among the tools; `redis-server` adds a service, not wanted.
command -v valkey-server >/dev/null || command -v redis-server >/dev/null ||
    command -v redis-check-rdb >/dev/null || missing="$missing redis-tools"
# The browser tests find it by these names; the variable CHROMIUM is for any other.
browser=""
for name in ${CHROMIUM:-chromium} chromium-browser google-chrome; do
    command -v "$name" >/dev/null && browser=$name
done
[ -n "$browser" ] || missing="$missing chromium"
# Tests of pg_cron are skipped without it, so it is installed only where that is easily done.
newest=/usr/lib/postgresql
for server in /usr/lib/postgresql/*/bin/postgres; do newest=${server%/bin/postgres}; done
cron=postgresql-$(basename "$newest")-cron
if [ -e "$newest/bin/postgres" ] && [ ! -e "$newest/lib/pg_cron.so" ]; then
    if [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; then
        apt-cache show "$cron" >/dev/null 2>&1 && missing="$missing $cron"
    fi
fi
[ -n "$missing" ] || exit 0

give_up() {
    echo "the tests need these Debian packages, and $1:$missing" >&2
    echo "install them (or what your system calls them), then run this again" >&2
    exit 1
}

as_root=""
command -v apt-get >/dev/null || give_up "there is no apt-get here"
if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || give_up "installing them needs root"
    as_root="sudo -n"
fi

echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086  # both are lists of words
{
    $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing
} >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    give_up "apt-get failed"
}
[ -n "${INSTALLED:-}" ] || INSTALLED=1 exec "$0" # what belongs to the server that is there now
