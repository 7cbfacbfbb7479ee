#!/usr/bin/env bash
# Pin every kind's environment: `make lock`, or envs/lock.sh --upgrade to take the newest of everything.
# Writes KIND.txt from KIND.in, and KIND.yaml for conda. Needs uv and a package index.
# The lists have the sha256 of every file of a package, so that an index can only give what was pinned.
# The conda files have none: there pip would want one for torch too, whose build is the site's own.
# envs/lock.sh --check (`make lock-check`) writes nothing: it resolves the pins on every Python.
set -euo pipefail
cd "$(dirname "$0")"
kinds=(local workflow training inference inference-cpu peers peers-sft peers-grade-lighteval
    peers-grade-lm-eval docs)
# It needs an interpreter, and without a name it looks for one of the version asked for, for seconds.
resolve=(uv pip compile --quiet --no-header --no-annotate --python "$(command -v python3)"
    --python-platform x86_64-manylinux_2_28)
# torch is installed before everything else, and its build says which GPU libraries come with it.
gpu=$("${resolve[@]}" --python-version 3.11 torch.txt | grep -oE '^(triton|nvidia-|cuda-)[^=]*')
options_of() { # of kind $1, into `more`
    more=(--no-emit-package torch)
    [ "$1" = inference ] || for name in $gpu; do more+=(--no-emit-package "$name"); done
    [ ! -e "$1.override" ] || more+=(--override "$1.override")
}

pins_of() { sed -E '/^ *--hash=/d; s/ *\\$//' "$@"; } # lists without their hashes

check() { # kind $1 on Python $2
    options_of "$1"
    # Also what is asked for, because the lists leave torch out.
    if ! found=$("${resolve[@]}" --python-version "$2" "${more[@]}" "$1.in" "$1.txt" 2>&1); then
        printf 'error: envs/%s.txt does not resolve on Python %s; change envs/%s.in:\n%s\n' \
            "$1" "$2" "$1" "$(grep -v '^ *warning' <<<"$found")" >&2
        return 1
    fi
    if found=$(grep -vxFf <(pins_of "$1.txt") <<<"$found"); then
        printf 'error: Python %s needs what envs/%s.txt does not pin; add it to envs/%s.in:\n%s\n' \
            "$2" "$1" "$1" "$found" >&2
        return 1
    fi
}

if [ "${1:-}" = --check ]; then
    status=0 jobs=()
    for kind in "${kinds[@]}"; do
        for python in 3.11 3.12 3.13; do
            check "$kind" "$python" &
            jobs+=($!)
            # The index is waited for more than the processor: some at a time.
            [ "${#jobs[@]}" -lt 8 ] || { wait "${jobs[0]}" || status=1; jobs=("${jobs[@]:1}"); }
        done
    done
    for job in "${jobs[@]}"; do wait "$job" || status=1; done
    exit $status
fi

resolve+=(--python-version 3.11 --generate-hashes)
pins=$(mktemp)
trap 'rm -f "$pins" "$pins.seen"' EXIT
: >"$pins.seen"
for kind in "${kinds[@]}"; do
    options_of "$kind"
    [ "$kind" != local ] || more+=("$@")
    # What uv finds in the file it writes it keeps where it can: first of all the versions of the kinds
    # before this one, so that kinds share them, then this kind's own of last time.
    touch "$kind.txt"
    pins_of "$pins.seen" "$kind.txt" | awk -F= '/^[a-z0-9]/ && !seen[$1]++' >"$pins"
    "${resolve[@]}" "${more[@]}" --output-file "$pins" "$kind.in" >/dev/null
    { echo "# Made by \`make lock\` from $kind.in."; cat "$pins"; } >"$kind.txt"
    cat "$pins" >>"$pins.seen"
done
# Snakemake copies these files to where it makes an environment, and makes it anew when one changes: so
# the pins have to be in them.
for kind in workflow training inference; do
    {
        echo "# Made by \`make lock\` from $kind.txt, for \`snakemake --sdm conda\`."
        echo "channels:"
        echo "  - conda-forge"
        echo "dependencies:"
        echo "  - python =3.11"
        echo "  - pip"
        echo "  - pip:"
        [ "$kind" = workflow ] || cat torch.txt
        pins_of "$kind.txt"
    } | sed -E '2,$ { /^#/d; s/^([a-z0-9].*==)/      - \1/ }' >"$kind.yaml"
done
