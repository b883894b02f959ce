#!/bin/sh
# Installs one lock into /opt/venv by its hashes, and takes away what no process needs: pip itself, tests and headers of packages.
set -eu
/opt/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: -r "$1"
/opt/venv/bin/pip uninstall --quiet --yes pip
cd /opt/venv/lib/python3*/site-packages
rm -rf setuptools pkg_resources _distutils_hack distutils-precedence.pth
for package in numpy scipy sklearn pandas pyarrow matplotlib; do
    [ -d "$package" ] || continue
    find "$package" -depth -type d -name tests -exec rm -rf {} +
    rm -rf "$package/include"
done
