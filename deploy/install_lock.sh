#!/bin/sh
# Installs one lock into /opt/venv by its hashes, and takes away what no process needs: pip itself, tests and headers of packages.
#   install_lock.sh <lock> [<package that comes as source only> <lock of what builds it>]
# That package is built by what is locked too, and not by what pip would fetch for it at the moment.
set -eu
install="/opt/venv/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all:"
if [ $# -eq 3 ]; then
    $install -r "$3"
    install="$install --no-binary $2 --no-build-isolation"
fi
$install -r "$1"
/opt/venv/bin/pip uninstall --quiet --yes pip
cd /opt/venv/lib/python3*/site-packages
rm -rf setuptools pkg_resources _distutils_hack distutils-precedence.pth
for package in numpy scipy sklearn pandas pyarrow matplotlib; do
    [ -d "$package" ] || continue
    find "$package" -depth -type d -name tests -exec rm -rf {} +
    rm -rf "$package/include"
done
