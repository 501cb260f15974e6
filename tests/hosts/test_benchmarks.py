"""The benchmarks run, and end with the figures that their readers look for."""

import json
import subprocess
import sys

import pytest

AT_MOST = {
    "crews": {
        "overhead_zero_latency": 10, "overhead_real_latency": 10, "parallel_efficiency": 1,
        "resume_ms_p50": 60_000, "redis_commands_per_step": 200, "redis_commands_per_step_of_a_flow": 200,
    },
    "polling": {
        "saved_total": 1, "saved_total_longpoll": 1, "saved_response_poll_1s": 1,
        "saved_response_poll_plain": 1, "poll_cpu_vs_naive_2kb": 1, "poll_cpu_vs_naive_50kb": 1,
        "redis_commands_per_poll": 1, "polls_per_s_vs_raw": 2,
    },
    "streaming": {
        "p50_ms": 1000, "p99_ms": 5000, "p50_vs_raw": 20, "lost": 0, "repeated": 0, "viewers": 100,
        "cpu_share": 1, "redis_commands_per_viewer_minute_1": 2,
        "redis_commands_per_viewer_minute_100": 0.1,
    },
}  # fmt: skip


TIME_OUT_SECONDS = {"crews": 240}  # CrewAI is loaded by three processes, 8 s of CPU time each


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", AT_MOST)
def test_a_quick_run_ends_with_every_figure_in_one_line(name):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", "--quick"]
    seconds = TIME_OUT_SECONDS.get(name, 60)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    *lines, last = ran.stdout.splitlines()
    figures = json.loads(last)
    assert set(figures) == set(AT_MOST[name])
    assert all(0 <= figures[key] <= most for key, most in AT_MOST[name].items()), figures
    assert all(any(line.startswith(key) for line in lines) for key in figures)
