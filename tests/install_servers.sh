#!/bin/sh
# Brings what the tests talk to and with: PostgreSQL, MariaDB, Chromium, sqlite3, wrk, podman with runc and debootstrap, Java for Spark, and an S3 server.
# Never fails: tests without them are skipped and say so.
missing=""
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
PATH="$PATH:/usr/sbin:/sbin" command -v mariadbd >/dev/null 2>&1 || missing="$missing mariadb-server"
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || missing="$missing chromium"
command -v sqlite3 >/dev/null 2>&1 || missing="$missing sqlite3"
command -v wrk >/dev/null 2>&1 || missing="$missing wrk"
# The S3 server is a Go program that no distribution packs; its sums are held by the Go tool against the public checksum database.
s3_server=github.com/versity/versitygw/cmd/versitygw@v1.8.0
if ! command -v versitygw >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ] && command -v go >/dev/null 2>&1; then
        echo "building the S3 server for the tests: $s3_server"
        GOBIN=/usr/local/bin go install "$s3_server" >/dev/null 2>&1 || echo "could not build versitygw; the tests of object stores will be skipped"
    else
        echo "not installed: versitygw; the tests of object stores will be skipped. To have it: go install $s3_server"
    fi
fi
command -v podman >/dev/null 2>&1 || missing="$missing podman"
PATH="$PATH:/usr/sbin:/sbin" command -v runc >/dev/null 2>&1 || missing="$missing runc"
PATH="$PATH:/usr/sbin:/sbin" command -v debootstrap >/dev/null 2>&1 || missing="$missing debootstrap"
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
