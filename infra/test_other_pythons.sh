#!/bin/sh
# Runs the unit and contract tests on the oldest and the newest Python that is promised, each with an
# environment of its own from the same lock. One that is not installed is skipped, and said to be.
set -eu
uv=.cache/tools/bin/uv
own=$(.venv/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# find VERSION: print a Python of this version, if there is one
find() {
    for candidate in "python$1" "$(pyenv prefix "$1" 2>/dev/null)/bin/python"; do
        if "$candidate" -c '' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
}

for version in 3.11 3.13; do
    [ "$version" = "$own" ] && continue
    python=$(find "$version")
    if [ -z "$python" ]; then
        echo "SKIPPED: no Python $version here, so the tests were not run on it"
        continue
    fi
    echo "the unit and contract tests on Python $version"
    environment=.cache/venv-$version
    UV_PROJECT_ENVIRONMENT=$environment "$uv" sync --frozen --quiet --python "$python"
    "$environment/bin/python" -m pytest -n 3 --dist worksteal -p no:cacheprovider tests/unit tests/contract
done
