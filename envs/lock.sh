#!/usr/bin/env bash
# Pin every kind's environment: `make lock`, or envs/lock.sh --upgrade to take the newest of everything.
# Writes KIND.txt from KIND.in, and KIND.yaml for conda. Needs uv and a package index.
set -euo pipefail
cd "$(dirname "$0")"
resolve=(uv pip compile --quiet --no-header --no-annotate
    --python-version 3.11 --python-platform x86_64-manylinux_2_28)
# torch is installed before everything else, and its build says which GPU libraries come with it.
gpu=$("${resolve[@]}" torch.txt | grep -oE '^(triton|nvidia-|cuda-)[^=]*')
pins=$(mktemp)
trap 'rm -f "$pins" "$pins.seen"' EXIT
: >"$pins.seen"
for kind in local workflow training inference inference-cpu peers peers-sft docs; do
    more=(--no-emit-package torch)
    [ "$kind" = inference ] || for name in $gpu; do more+=(--no-emit-package "$name"); done
    [ ! -e "$kind.override" ] || more+=(--override "$kind.override")
    [ "$kind" != local ] || more+=("$@")
    # What uv finds in the file it writes it keeps where it can: first of all the versions of the kinds
    # before this one, so that kinds share them, then this kind's own of last time.
    touch "$kind.txt"
    cat "$pins.seen" "$kind.txt" | awk -F= '/^[a-z0-9]/ && !seen[$1]++' >"$pins"
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
        cat "$kind.txt"
    } | sed -E '2,$ { /^#/d; s/^([a-z0-9].*==)/      - \1/ }' >"$kind.yaml"
done
