#!/usr/bin/env bash
# Make an environment, or leave it if it is what its list says: envs/install.sh KIND FOLDER.
# KIND is a list beside this script. This part finds a Python of 3.11 or newer, install.py does the rest.
# PYTHON=... names another one. Without it an environment keeps the Python that it was made with.
# TORCH=... takes another build of torch, for example one for a certain CUDA.
set -euo pipefail
here=$(dirname "$0") kind=${1:-} folder=${2:-}
if [ -z "$folder" ] || [ ! -e "$here/$kind.in" ] || [ ! -e "$here/$kind.txt" ]; then
    kinds=$(cd "$here" && for list in *.in; do echo "${list%.in}"; done | grep -vx core | paste -sd'|')
    echo "usage: $0 $kinds FOLDER" >&2
    exit 2
fi
if [ -n "${PYTHON:-}" ]; then
    pythons=("$PYTHON")
else
    own=$(sed -n 's/^executable = //p' "$folder/pyvenv.cfg" 2>/dev/null || true)
    pythons=("$own" python3 python3.13 python3.12 python3.11)
fi
for python in "${pythons[@]}"; do
    # Of an environment, the interpreter it was made with: the environment may be replaced.
    found=$("$python" -c 'import sys; print(sys.version_info >= (3, 11) and sys._base_executable or "")' \
        2>/dev/null || true)
    [ -z "$found" ] || exec "$found" -I "$here/install.py" "$kind" "$folder"
done
echo "error: Python 3.11 or newer is needed; name it with PYTHON=..." >&2
exit 1
