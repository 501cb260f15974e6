"""Compiles the crews of this deployment: `python -m infra.crews`, or `make crews`.

Prints each mistake with file and line, and exits with 1 if there is one; the other crews are
compiled all the same. With `--check` nothing is written: it fails as well where what was compiled
has drifted from the crews' files, or where a tool of the allow-lists cannot be loaded.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from core.adapters.crewai.environ import prepare_environ
from infra.crews.allow_lists import ALLOWED, all_unloadable
from infra.crews.compiler import compile_all, compiled, drifted

FOLDER = Path(__file__).parents[2] / "crews"


def main() -> int:
    """Compile, or check; print what is wrong; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m infra.crews", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing")
    parser.add_argument("--quiet", action="store_true", help="do not count them")
    asked = parser.parse_args()
    prepare_environ(os.environ, os.environ.get("HOME") or tempfile.mkdtemp())
    crews = list(compiled(FOLDER, ALLOWED)) if asked.check else compile_all(FOLDER, ALLOWED)
    wrong = [f"the crew {c.name} is broken: {problem}" for c in crews for problem in c.problems]
    if asked.check:
        wrong += [f"{path} has drifted: make crews" for path in drifted(FOLDER, crews)]
        wrong += all_unloadable(c.definition for c in crews if c.definition is not None)
    for note in (note for crew in crews for note in crew.checked.notes):
        print(f"crewline: {note}", file=sys.stderr)
    for line in wrong:
        print(f"crewline: {line}", file=sys.stderr)
    if not wrong and not asked.quiet:
        print(f"{len(crews)} crews are well written")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
