#!/bin/sh
# Runs all tests, three at once, with branch coverage. Those that fail are run once more, by themselves:
# a machine that is busy with other tests may be too slow for one. It is named, and to be mended.
set -u
python=.venv/bin/python
"$python" -m pytest -rs -n 3 --dist worksteal --cov --cov-report=term-missing:skip-covered && exit
echo "once more, by themselves, what has just failed:"
"$python" -m pytest -n 0 -v --last-failed --last-failed-no-failures none || exit
echo "FAILED BESIDE OTHERS, and passed by themselves: the tests above"
