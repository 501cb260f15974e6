"""Retraining: what a model of a million feedbacks takes, in time and memory, on one core.

python -m benchmarks.retraining --json

Real parts: Valkey, the REST gateway, S3. The feedback lies in segments, as earlier retrainings leave it;
what is measured is one retraining in a process of its own, that may use one core. Its time is that of the
processor, which others may use in turns.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import learning_streams as streams
from benchmarks import report
from benchmarks.parts import Parts, running
from benchmarks.report import Figure, short

MILLION = 1_000_000
MOST_SECONDS, MOST_MB = 600, 3072


def retrained(many: int, folder: Path) -> list[Figure]:
    """Retrain so much feedback in a process of its own."""
    with running(with_objects=True) as parts:
        _work(parts, "store", str(many), str(folder))
        found = _work(parts, "retrain")
    key = f"retrain_{'1m' if many == MILLION else short(many)}"
    right = f"{100 * found['right']:.1f} % of the newest {found['events']} right"
    seen = f"{found['outcome']}, {right}; {found['seconds']:.0f} s with all that ran beside it"
    return [
        Figure(f"{key}_cpu_seconds", round(found["cpu_seconds"]), _most(many, MOST_SECONDS), seen),
        Figure(f"{key}_mb", round(found["mb"]), _most(many, MOST_MB)),
        Figure(f"{key}_left_out", found["left_out"], _most(many, 0)),
    ]


def _most(many: int, bound: int) -> str:
    return f"<= {bound}" if many == MILLION else ""


def _work(parts: Parts, *arguments: str) -> dict[str, Any]:
    """Run a part of the work in a process of its own; return what it tells."""
    command = [sys.executable, "-m", "benchmarks.retraining_work", *arguments]
    environ = dict(parts.environ)
    done = subprocess.run(command, env=environ, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run the benchmark."""
    options = report.options(__doc__, data=streams.DATA)
    sizes = (2_000,) if options.quick else (50_000, MILLION)
    figures = [one for many in sizes for one in retrained(many, options.data)]
    report.tell(figures, as_json=options.json)


if __name__ == "__main__":
    main()
