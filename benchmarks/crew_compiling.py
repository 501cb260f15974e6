"""What compiling crews takes, and what it spares `crew_launch`.

A cold start here is a fresh process that imports the function and makes its list of crews: from what
was compiled, or as it was before, from the crews' YAML, read and checked by the compiler's own code.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copytree

from benchmarks.report import Figure
from infra.crews.allow_lists import ALLOWED
from infra.crews.compiler import compiled

CREWS = Path(__file__).parents[1] / "crews"
COLD = "import time, functions.crew_launch as launch; from core import bootstrap; "
FROM_JSON = "bootstrap.registry().read_all(); "
FROM_YAML = (
    "from pathlib import Path; from infra.crews.compiler import compiled; "
    "from infra.crews.allow_lists import ALLOWED; list(compiled(Path('crews'), ALLOWED)); "
)
TELL = "print(time.process_time())"


def figures(starts: int) -> list[Figure]:
    """Measure the crews of this repository."""
    return [_compiling(starts), _cold(starts)]


def _compiling(rounds: int) -> Figure:
    """Return the milliseconds that one crew takes, the loading of the compiler left out."""
    with tempfile.TemporaryDirectory() as folder:
        crews = Path(copytree(CREWS, Path(folder) / "crews"))
        seconds = list[float]()
        for _ in range(1 + rounds):  # what is loaded in the first is left out
            began = time.perf_counter()
            count = len(list(compiled(crews, ALLOWED)))
            seconds.append((time.perf_counter() - began) / count)
    median = statistics.median(seconds[1:]) * 1000
    return Figure("compile_ms_per_crew", round(median, 2), "", f"{count} crews, {rounds} times")


def _cold(starts: int) -> Figure:
    """Return what a cold start takes, as a share of one that reads YAML: CPU time, in turns."""
    from_json, from_yaml = list[float](), list[float]()
    for turn in range(1 + starts):
        pair = _start(FROM_JSON), _start(FROM_YAML)
        if turn:  # in that before, files are read into memory
            from_json.append(pair[0])
            from_yaml.append(pair[1])
    ratios = (one / other for one, other in zip(from_json, from_yaml, strict=True))
    seen = " and ".join(
        f"{statistics.median(each) * 1000:.0f} ms" for each in (from_json, from_yaml)
    )
    return Figure("launch_cold_vs_yaml", round(statistics.median(ratios), 3), "<= 1", seen)


def _start(read: str) -> float:
    """Return the CPU seconds of a fresh process until it knows its crews."""
    command = [sys.executable, "-c", f"{COLD}{read}{TELL}"]
    ran = subprocess.run(command, cwd=CREWS.parent, check=True, capture_output=True, text=True)
    return float(ran.stdout)
