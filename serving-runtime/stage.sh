#!/bin/sh
# Prepare the build context of one image: stage.sh triton | storage-initializer. Needs uv; writes build/serving-runtime/NAME/.
# Packages are installed here and copied, so that the base image needs neither pip nor a compiler. Then, for example:
#   docker build -t sluice-triton -f serving-runtime/triton/Containerfile build/serving-runtime/triton
set -eu
name=${1:?usage: stage.sh triton|storage-initializer}
here=$(cd "$(dirname "$0")" && pwd)
out=${SLUICE_STAGE:-$here/../build/serving-runtime}/$name
case $(uname -m) in arm64 | aarch64) cpu=aarch64 ;; *) cpu=x86_64 ;; esac

rm -rf "$out"
mkdir -p "$out/site"
# glibc 2.36 and Python 3.11 are those of Debian 12, the base of both images.
uv pip install --no-config --quiet --no-deps --require-hashes --only-binary :all: \
    --python-version 3.11 --python-platform "$cpu-manylinux_2_36" \
    --target "$out/site" --requirements "$here/$name/requirements.txt"

case $name in
triton)
    server=$out/site/pytriton/tritonserver
    # The stub must lie beside the backend's library, whose RPATH finds the vendored libraries from there.
    mv "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
    # 44 MB that only other Python versions need.
    rm -rf "$server/python_backend_stubs" "$out"/site/nvidia_pytriton.libs/libpython3-*
    ;;
storage-initializer)
    # botocore carries the descriptions of some 400 services, 25 MB: keep the store and what gets its credentials.
    data=$out/site/botocore/data
    find "$data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin \
        -exec rm -rf {} +
    cp -r "$here/storage-initializer/sluice_storage" "$here/storage-initializer/sluice_warmup" "$out/site/"
    cp "$here/triton/model.py" "$out/site/sluice_storage/triton_model.py"
    ;;
*)
    echo "unknown image $name: use triton or storage-initializer" >&2
    exit 2
    ;;
esac
find "$out/site" -name __pycache__ -prune -exec rm -rf {} +
