#!/bin/sh
# Makes .venv from the lock, every package checked against its hash. Does nothing if it is up to date.
set -eu

fail() {
    echo "crewline: $1" >&2
    exit 1
}

python=${PYTHON:-}
for candidate in "$python" python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
        python=$candidate
        break
    fi
    python=
done
[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed: install one, or name it with make PYTHON=path"

lock=$(cat uv.lock pyproject.toml infra/requirements/uv.txt | cksum)
[ "$(cat .venv/.lock-installed 2>/dev/null)" = "$lock" ] && exit 0

tools=.cache/tools
if ! [ -x "$tools/bin/uv" ]; then
    "$python" -m venv "$tools" 2>/dev/null ||
        fail "this Python cannot make virtual environments: install its venv module (Debian: python3-venv)"
    "$tools/bin/python" -m pip install -q --disable-pip-version-check --require-hashes \
        -r infra/requirements/uv.txt || fail "uv could not be installed: is the package registry reachable?"
fi
echo "installing the locked packages into .venv (about 1.6 GB, CrewAI and what it needs for the most part) ..."
"$tools/bin/uv" sync --frozen --quiet --python "$python" ||
    fail "the locked packages could not be installed: is the package registry reachable?"
echo "$lock" >.venv/.lock-installed
