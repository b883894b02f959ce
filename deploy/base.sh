#!/bin/sh
# Makes a base image by debootstrap, for machines that reach a Debian mirror and no container registry: Debian's smallest system with its Python.
#   deploy/base.sh <archive.tar> [suite] [mirror]        as root; afterwards: podman import <archive.tar> localhost/plinth-base:<suite>
# The mirror is this machine's own unless it is given. A build takes this or any other base with Python 3.11 to 3.13 by --build-arg BASE.
set -eu
[ $# -ge 1 ] || { sed -n '2,4p' "$0"; exit 2; }
archive=$1
suite=${2:-bookworm}
mirror=${3:-$(sed -n 's/^URIs: *//p; s/^deb  *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\) .*/\2/p' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)}
[ -n "$mirror" ] || { echo "no Debian mirror is configured on this machine: name one as the third argument"; exit 2; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,libpython3-stdlib "$suite" "$root" "$mirror" > "$archive.log" 2>&1 ||
    { tail -n 5 "$archive.log"; exit 1; }
# What only documents, translates or was downloaded is no part of a base.
rm -rf "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/*
# With one tick for every file and names sorted, the same packages give the same archive.
tar --sort=name --mtime='2020-01-01 00:00Z' --numeric-owner -C "$root" -cf "$archive.draft" .
mv "$archive.draft" "$archive"
