#!/usr/bin/env bash
# Make the environment: envs/install.sh FOLDER. Needs Python 3.11 or newer and a package index.
# TORCH=... takes another build of torch, for example one for CUDA.
set -euo pipefail
folder=$1 here=$(dirname "$0")
for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    python=""
done
[ -n "$python" ] || { echo "error: Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "$python has no venv module (Debian and Ubuntu ship it apart)"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "error: install it: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "making the environment in $folder ($("$python" --version)); a few minutes, some 2 GB"
rm -rf "$folder"
"$python" -m venv "$folder"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check "${TORCH:-torch==2.13.0}"
"$folder/bin/python" -m pip install --quiet --disable-pip-version-check uv==0.13.9
# Byte code is compiled now, so that no job has to.
"$folder/bin/uv" pip install --quiet --python "$folder/bin/python" --compile-bytecode \
    -r "$here/requirements.txt"
"$folder/bin/python" -m compileall -q -j 0 "$folder" >/dev/null 2>&1 || true
touch "$folder/.ready"
