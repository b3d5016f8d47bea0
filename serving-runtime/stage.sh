#!/bin/sh
# Prepare the build context of one image: stage.sh NAME, a folder beside this file. Needs uv; writes build/serving-runtime/NAME/.
# Packages are installed here and copied, so that the base image needs neither pip nor a compiler. Then, for example:
#   docker build -t sluice-triton -f serving-runtime/triton/Containerfile build/serving-runtime/triton
set -eu
here=$(cd "$(dirname "$0")" && pwd)
name=${1:-}
[ -n "$name" ] && [ -f "$here/$name/requirements.txt" ] || {
    echo "usage: stage.sh NAME, one of: $(cd "$here" && echo */requirements.txt | sed 's,/requirements.txt,,g')" >&2
    exit 2
}
out=${SLUICE_STAGE:-$here/../build/serving-runtime}/$name
site=$out/site
case $(uname -m) in arm64 | aarch64) cpu=aarch64 ;; *) cpu=x86_64 ;; esac

# What of the packages' requirements stays out.
config=--no-config
[ ! -f "$here/$name/uv.toml" ] || config="--config-file $here/$name/uv.toml"
case $name in
# Its makers publish the jars in a source package alone, which is unpacked with the setuptools of these hashes.
spark) sources="--no-binary pyspark --build-constraints $here/spark/build-constraints.txt" ;;
*) sources= ;;
esac

# What only Hive, machine learning, graphs, state of streams, YARN, shells and other systems need: 260 MB.
spark_slim() {
    rm -rf "$site"/pyspark/examples "$site"/pyspark/data "$site"/kubernetes/aio
    jars=$site/pyspark/jars
    rm -rf "$jars"/connect-repl
    for unused in hive- spark-hive spark-mllib spark-graphx spark-yarn spark-repl spark-connect spark-pipelines \
        datanucleus- derby HikariCP- javax.jdo- jdo- libthrift- libfb303- breeze spire algebra cats- JTransforms- \
        JLargeArrays- arpack lapack- blas- rocksdbjni- scala-compiler- jline- zookeeper curator- volcano-; do
        rm -f "$jars/$unused"*
    done
    rm -f "$jars"/netty-*-osx-* "$jars"/netty-*-windows-* "$jars"/netty-*-riscv64.jar
    mv "$jars" "$out/jars"
}

rm -rf "$out"
mkdir -p "$site"
# glibc 2.36 and Python 3.11 are those of Debian 12, the base of all images.
uv pip install $config --quiet --require-hashes --only-binary :all: $sources \
    --python-version 3.11 --python-platform "$cpu-manylinux_2_36" \
    --target "$site" --requirements "$here/$name/requirements.txt"
for package in "$here/$name"/sluice_*; do
    [ ! -d "$package" ] || cp -r "$package" "$site/"
done

# What only developers of these packages need.
find "$site" -type d -name tests -prune -exec rm -rf {} +
find "$site" -name '*.pyi' -delete

# The packages' commands name this machine's Python; in the image it is the one on the PATH.
for command in "$site"/bin/*; do
    [ ! -f "$command" ] || sed -i '1s,^#!.*python.*$,#!/usr/bin/env python3,' "$command"
done

case $name in
triton)
    server=$site/pytriton/tritonserver
    # The stub must lie beside the backend's library, whose RPATH finds the vendored libraries from there.
    mv "$server/python_backend_stubs/3.11/triton_python_backend_stub" "$server/backends/python/"
    mv "$server/bin/tritonserver" "$server/bin/tritonserver.bin"
    cp "$here/triton/tritonserver" "$server/bin/"
    # 44 MB that only other Python versions need.
    rm -rf "$server/python_backend_stubs" "$site"/nvidia_pytriton.libs/libpython3-*
    ;;
storage-initializer | optimizer)
    # botocore carries the descriptions of some 400 services, 25 MB: keep the store and what gets its credentials.
    data=$site/botocore/data
    find "$data" -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name sts ! -name sso ! -name sso-oidc ! -name signin \
        -exec rm -rf {} +
    [ "$name" = optimizer ] || cp "$here/triton/model.py" "$site/sluice_storage/triton_model.py"
    [ "$name" = storage-initializer ] || cp -r "$here/storage-initializer/sluice_storage" "$site/"
    ;;
vllm)
    # What only GPUs need, as far as torch loads without it: 1.5 GB.
    rm -rf "$site/triton"
    rm -f "$site"/nvidia/cudnn/lib/libcudnn_*.so.9 "$site"/nvidia/nvshmem/lib/libnvshmem_device.bc
    for unused in libcusolverMg libnvrtc.alt libnvperf_; do
        rm -f "$site"/nvidia/cu13/lib/$unused*
    done
    find "$site/nvidia" -name '*.a' -delete
    # The kernels for processors with AMX end others at the first request, which vLLM does not look for.
    mv "$site/vllm/_C_AVX512.abi3.so" "$site/vllm/_C.abi3.so"
    ;;
batch | spark)
    cp -r "$here/../batch/sluice_batch" "$site/"
    arrow=$site/pyarrow
    # What only builds against Arrow need, and modules that the runner does not load. Arrow's other libraries name each other.
    rm -rf "$arrow/include" "$arrow/includes" "$arrow/src" "$site/onnxruntime/transformers" "$site/onnxruntime/tools"
    find "$arrow" \( -name '*.px[di]' -o -name '*.pyx' -o -name '_pyarrow_cpp_tests*' -o -name '*flight*' -o -name '*encryption*.so*' \) \
        -delete
    # The wheel has libarrow_python three times; programs load it by its soname.
    find "$arrow" -name 'libarrow_python.so' -o -name 'libarrow_python.so.*.*' | xargs rm -f
    [ "$name" != spark ] || spark_slim
    ;;
esac
find "$site" -name __pycache__ -prune -exec rm -rf {} +
