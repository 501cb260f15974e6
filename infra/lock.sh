#!/bin/sh
# Locks the dependencies and exports what hosts install; with --check, fails where they have drifted.
set -eu
uv=.cache/tools/bin/uv
[ -x "$uv" ] || uv=.venv/bin/uv

export_to() { # file, uv's options: the header would name the file, so it is left out
    to=$1
    shift
    "$uv" export --quiet --frozen --no-header --no-emit-project --no-default-groups "$@" -o "$to"
}

drifted() {
    echo "$1 has drifted: run make lock" >&2
    exit 1
}

pruned=$(.venv/bin/python -c '
from infra.bundles.contents import BEYOND_CREWS
print(*(f"--prune={name}" for name in BEYOND_CREWS))')
providers=$(.venv/bin/python -c '
from infra.bundles.contents import PROVIDERS
print(*PROVIDERS)')

# Calls its argument with each file that hosts install and with what is exported to it.
each_export() {
    "$1" requirements.txt --group learning
    "$1" infra/requirements/container.txt --only-group container
    "$1" infra/requirements/local.txt --only-group stand-ins
    # shellcheck disable=SC2086 # words of their own
    "$1" infra/requirements/worker.txt --only-group worker --only-group retrain --only-group stores $pruned
    for provider in $providers; do
        "$1" "infra/requirements/$provider.txt" --only-group "$provider"
    done
    "$1" api/requirements.txt --group learning --extra oidc
}

write() {
    export_to "$@" >/dev/null
}

compare() {
    file=$1
    shift
    export_to "$exported" "$@" >/dev/null
    cmp -s "$exported" "$file" || drifted "$file"
}

if [ "${1:-}" = --check ]; then
    "$uv" lock --check --quiet || { echo "uv.lock does not fit pyproject.toml: run make lock" >&2; exit 1; }
    exported=$(mktemp)
    trap 'rm -f "$exported"' EXIT
    each_export compare
else
    "$uv" lock --quiet
    each_export write
fi
