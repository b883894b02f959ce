#!/bin/sh
# Brings what the tests talk to and with: PostgreSQL, MariaDB, Chromium, sqlite3, wrk and Java for Spark. Never fails: tests without them are skipped and say so.
missing=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
PATH="$PATH:/usr/sbin:/sbin" command -v mariadbd >/dev/null 2>&1 || missing="$missing mariadb-server"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
command -v sqlite3 >/dev/null 2>&1 || missing="$missing sqlite3"
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
command -v java >/dev/null 2>&1 || missing="$missing openjdk-17-jre-headless"
[ -z "$missing" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing for the tests:$missing"
    # No service may start by itself: the tests run servers of their own on private ports.
    policy=/usr/sbin/policy-rc.d
    made=""
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod +x "$policy" && made=1
    fi
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 ||
        echo "could not install$missing; the tests that need them will be skipped"
    [ -n "$made" ] && rm -f "$policy"
else
    echo "not installed:$missing; the tests that need them will be skipped. To have them: apt-get install$missing"
fi
exit 0
