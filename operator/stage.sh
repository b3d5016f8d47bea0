#!/bin/sh
# Prepare the build context of an image: stage.sh [operator|dashboard], by default the operator's. Needs uv; writes
# build/operator/ or build/dashboard/. Then, for example:
#   docker build -t sluice-operator -f operator/Containerfile build/operator
# Packages are installed here, by the hashes of uv.lock, so that the base image needs neither pip nor a compiler.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
name=${1:-operator}
case $name in
operator) own=operator/sluice locked="--package sluice --no-default-groups" main=sluice.shell.app ;;
dashboard) own=plugin/kubectl_sluice locked="--package kubectl-sluice --only-group page" main=kubectl_sluice.dashboard.server ;;
*)
    echo "usage: stage.sh [operator|dashboard]" >&2
    exit 2
    ;;
esac
out=${SLUICE_STAGE:-$root/build}/$name
case $(uname -m) in arm64 | aarch64) cpu=aarch64 ;; *) cpu=x86_64 ;; esac

rm -rf "$out"
mkdir -p "$out/site" "$out/bin"
uv export --project "$root" --frozen --quiet $locked --no-emit-workspace --output-file "$out/requirements.txt"
# glibc 2.36 and Python 3.11 are those of Debian 12.
uv pip install --no-config --quiet --require-hashes --only-binary :all: \
    --python-version 3.11 --python-platform "$cpu-manylinux_2_36" \
    --target "$out/site" --requirements "$out/requirements.txt"
# The packages' commands name this machine's Python.
rm -rf "$out/site/bin"

cp -r "$root/judge/sluice_judge" "$root/core/sluice_core" "$root/$own" "$out/site/"
cat > "$out/bin/sluice-$name" <<SCRIPT
#!/usr/bin/env python3
import sys

from $main import main

sys.exit(main())
SCRIPT
chmod 755 "$out/bin/sluice-$name"
find "$out/site" -name __pycache__ -prune -exec rm -rf {} +
find "$out/site" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
