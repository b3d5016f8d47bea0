#!/bin/sh
# Prepare the build context of the operator's image in build/operator/ (needs uv). Then, for example:
#   docker build -t sluice-operator -f operator/Containerfile build/operator
# Packages are installed here, by the hashes of uv.lock, so that the base image needs neither pip nor a compiler.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${SLUICE_STAGE:-$here/../build}/operator
case $(uname -m) in arm64 | aarch64) cpu=aarch64 ;; *) cpu=x86_64 ;; esac

rm -rf "$out"
mkdir -p "$out/site" "$out/bin"
uv export --project "$here/.." --frozen --quiet --no-default-groups --extra dashboard --no-emit-workspace --output-file "$out/requirements.txt"
# glibc 2.36 and Python 3.11 are those of Debian 12.
uv pip install --no-config --quiet --no-deps --require-hashes --only-binary :all: \
    --python-version 3.11 --python-platform "$cpu-manylinux_2_36" \
    --target "$out/site" --requirements "$out/requirements.txt"

cp -r "$here/sluice" "$here/../judge/sluice_judge" "$out/site/"
rm -rf "$out/site/sluice/cli" "$out/site/bin"
cat > "$out/bin/sluice-operator" <<'SCRIPT'
#!/usr/bin/env python3
import sys

from sluice.shell.app import main

sys.exit(main())
SCRIPT
sed 's/sluice.shell.app/sluice.dashboard.server/' "$out/bin/sluice-operator" > "$out/bin/sluice-dashboard"
chmod 755 "$out/bin/sluice-operator" "$out/bin/sluice-dashboard"
find "$out/site" -name __pycache__ -prune -exec rm -rf {} +
find "$out/site" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
