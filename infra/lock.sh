#!/bin/sh
# Locks the dependencies and exports what hosts install; with --check, fails where they have drifted.
set -eu
uv=.cache/tools/bin/uv
[ -x "$uv" ] || uv=.venv/bin/uv

export_to() { # file, uv's options: the header would name the file, so it is left out
    file=$1
    shift
    "$uv" export --quiet --frozen --no-header --no-emit-project --no-default-groups "$@" -o "$file"
}

drifted() {
    echo "$1 has drifted: run make lock" >&2
    exit 1
}

container=infra/requirements/container.txt
vercel=api/requirements.txt
if [ "${1:-}" = --check ]; then
    "$uv" lock --check --quiet || { echo "uv.lock does not fit pyproject.toml: run make lock" >&2; exit 1; }
    exported=$(mktemp)
    trap 'rm -f "$exported"' EXIT
    export_to "$exported" --group learning >/dev/null
    cmp -s "$exported" requirements.txt || drifted requirements.txt
    export_to "$exported" --only-group container >/dev/null
    cmp -s "$exported" "$container" || drifted "$container"
    export_to "$exported" --group learning --extra oidc >/dev/null
    cmp -s "$exported" "$vercel" || drifted "$vercel"
else
    "$uv" lock --quiet
    export_to requirements.txt --group learning >/dev/null
    export_to "$container" --only-group container >/dev/null
    export_to "$vercel" --group learning --extra oidc >/dev/null
fi
