#!/usr/bin/env bash
# Make an environment: envs/install.sh KIND FOLDER. Needs Python 3.11 or newer and a package index.
# KIND is a list beside this script: local, workflow, training, inference, inference-cpu, peers or
# docs.
# TORCH=... takes another build of torch, for example one for a certain CUDA.
set -euo pipefail
here=$(dirname "$0") kind=${1:-} folder=${2:-}
if [ -z "$folder" ] || [ ! -e "$here/$kind.in" ] || [ ! -e "$here/$kind.txt" ]; then
    echo "usage: $0 local|workflow|training|inference|inference-cpu|peers|docs FOLDER" >&2
    exit 2
fi
if [ -e "$folder" ] && [ ! -e "$folder/pyvenv.cfg" ]; then
    echo "error: $folder is there and is no environment; it is not replaced" >&2
    exit 1
fi
for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
    python=""
done
[ -n "$python" ] || { echo "error: Python 3.11 or newer is needed; name it with PYTHON=..." >&2; exit 1; }
# Of an environment, the interpreter it was made with: it may be the one that is removed below.
python=$("$python" -c 'import sys; print(sys._base_executable)')
if ! "$python" -c 'import ensurepip' 2>/dev/null; then
    echo "$python has no venv module (Debian and Ubuntu ship it apart)"
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        apt-get update -qq && apt-get install -y -qq python3-venv
    else
        echo "error: install it: sudo apt-get install python3-venv" >&2
        exit 1
    fi
fi
echo "making the environment '$kind' in $folder ($("$python" --version)); at most a few minutes and 3 GB"
rm -rf "$folder"
"$python" -m venv "$folder"
pip=("$folder/bin/python" -m pip install --quiet --disable-pip-version-check)
"${pip[@]}" uv==0.13.9
# By pip, because it is pip's configuration that knows of CPU builds.
case $kind in
    workflow | peers | docs) ;; # no torch
    *) if [ -n "${TORCH:-}" ]; then "${pip[@]}" "$TORCH"; else "${pip[@]}" -r "$here/torch.txt"; fi ;;
esac
options=()
[ ! -e "$here/$kind.override" ] || options=(--override "$here/$kind.override")
# Byte code is compiled now, so that no job has to.
"$folder/bin/uv" pip install --quiet --python "$folder/bin/python" --compile-bytecode \
    "${options[@]}" -r "$here/$kind.txt"
"$folder/bin/python" -m compileall -q -j 0 "$folder" >/dev/null 2>&1 || true
touch "$folder/.ready"
