"""The benchmarks run, and end with the figures that their readers look for.

What is counted (commands, bytes, events) must be within the bounds that the benchmark states, in a quick
run too. What is timed depends on who else uses the machine: only its order of size is held here.
"""

import json
import subprocess
import sys

import pytest

COUNTED: dict[str, dict[str, tuple[float, float]]] = {  # figure -> least, most
    "cold_start": {},
    "cost_model": {"ratio": (0.0001, 0.1)},
    "costs": {
        "overspend": (0, 0),
        "reserve_settle_commands": (10, 20),
        "trial_false_alarms": (0, 0.04),
        "trial_missed_harm": (0.001, 0.04),
    },
    "crews": {
        "compile_ms_per_crew": (0.1, 1000),
        "launch_cold_vs_yaml": (0.1, 3),
        "redis_commands_per_step": (5, 14),
        "redis_commands_per_step_of_a_flow": (8, 24),
    },
    "learning": {
        "oa_aulc": (90, 100),
        "oa_first100": (85, 100),
        "oa_unseen": (70, 100),
        "clinc_300": (20, 60),
        "clinc_aulc": (15, 60),
        "improves": (0, 1),
        "drift_cost": (-2, 2),
    },
    "mapping_lessons": {
        **{
            f"{name}{kind}_{key}": bounds
            for name in ("addresses", "exports_plain", "exports_rich")
            for kind in ("", "_again")
            for key, bounds in {"without": (0.75, 1), "learnt": (0.75, 1)}.items()
        },
        **{
            f"{name}_again_wrong_again": (0, 0)
            for name in ("addresses", "exports_plain", "exports_rich")
        },
        "addresses_gain": (-0.01, 0.1),
        "addresses_again_gain": (0.005, 0.1),
        "exports_plain_gain": (-0.02, 0.1),
        "exports_plain_again_gain": (0.04, 0.2),
        "exports_rich_gain": (-0.01, 0.1),
        "exports_rich_again_gain": (-0.005, 0.1),
    },
    "retraining": {"retrain_2k_left_out": (0, 0)},
    "recommend": {"model_mb_2k": (5, 20), "redis_commands_per_recommendation": (1, 1.2)},
    "polling": {
        "saved_total": (0.97, 1),
        "saved_total_longpoll": (0.95, 1),
        "saved_response_poll_1s": (0.88, 1),
        "saved_response_poll_plain": (0.85, 1),
        "redis_commands_per_poll": (1, 1),
    },
    "streaming": {
        "lost": (0, 0),
        "repeated": (0, 0),
        "viewers": (100, 100),
        "redis_commands_per_viewer_minute_1": (0.1, 2),
        "redis_commands_per_viewer_minute_100": (0.001, 0.1),
    },
    "growth": {
        "idle_commands_per_minute_1": (0, 60),  # one look may fall into six seconds
        "idle_commands_per_minute_50": (0, 60),
        "sweep_commands_50": (1, 10),
        "step_bytes_30_vs_10": (0.5, 1.3),
    },
}
TIMED = {
    "cold_start": {
        **dict.fromkeys(
            ("flow_status", "flow_events", "crew_launch", "cost_report", "feedback"), (0.1, 5)
        ),
        "crew_worker": (0.2, 5),
        "starting_ms": (50, 5000),
        **{
            f"warm_p50_ms_{function}": (0.1, 2000)
            for function in ("flow_status", "flow_events", "crew_launch", "cost_report", "feedback")
        },
    },
    "cost_model": {
        **{
            f"usd_month_{viewers}_viewers_{host}": (1, 200_000)
            for viewers in ("1k", "10k")
            for host in (
                "lambda",
                "lambda_polls",
                "vercel",
                "container",
                "naive_lambda",
                "naive_vercel",
            )
        },
        **{
            f"usd_month_{flows}_flows_{host}": (0.5, 5_000)
            for flows in ("1k", "100k")
            for host in ("lambda", "vercel", "container")
        },
        "usd_month_10k_viewers_default": (10, 5_000),
        "usd_month_10k_viewers_naive": (5_000, 50_000),
    },
    "costs": {
        "utilisation": (0.3, 1),
        "reserve_p50_vs_get": (0.2, 20),
        "report_ms_100x": (0.2, 10),
        "ingest_calls_per_s_vs_pipeline": (0.001, 20),
    },
    "crews": {
        "journal_overhead": (0.1, 20),
        "replayed_calls_ms": (1, 5_000),
        "redis_commands_per_call_of_text": (1, 30),  # one write more where a piece comes late
        "overhead_zero_latency": (0.05, 4),
        "overhead_real_latency": (0.5, 2),
        "parallel_efficiency": (0.1, 1),
        "resume_ms_p50": (0, 10_000),
    },
    "learning": {  # of so few events nothing can be held closely
        "ece": (0, 0.3),
        "coverage_at_95": (0, 1),
        "noise20_loss": (-5, 20),
        "drift_recovery": (0, 150),
    },
    "mapping_lessons": {},
    "retraining": {"retrain_2k_cpu_seconds": (0.5, 120), "retrain_2k_mb": (100, 3072)},
    "recommend": {
        "cold_import_vs_sklearn": (0.001, 0.5),
        "p50_vs_naive_loop_300": (0, 0.1),
        "feedback_visible_ms": (0.1, 200),
        "p50_vs_matvec_2k": (0, 100),
        "load_2k_ms": (1, 20_000),
    },
    "polling": {
        "poll_cpu_vs_naive_2kb": (0, 0.3),
        "poll_cpu_vs_naive_50kb": (0, 0.2),
        "polls_per_s_vs_raw": (0.1, 5),
    },
    "streaming": {
        "p50_ms": (0.1, 500),
        "p99_ms": (0.1, 3000),
        "p50_vs_raw": (0.5, 10),
        "cpu_share": (0, 1),
    },
    "growth": {
        "start_ratio_50": (0.2, 5),
        "step_ms_30_vs_10": (0.2, 5),
        "list_300_vs_100": (0.2, 5),
    },
}
TIME_OUT_SECONDS = {
    "cold_start": 120,
    "cost_model": 120,
    "costs": 120,
    "crews": 240,
    "growth": 120,
    "learning": 240,
    "recommend": 240,
}  # each process that loads CrewAI takes 8 s of CPU


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", COUNTED)
def test_a_quick_run_ends_with_every_figure_in_one_line(name: str):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--json", "--quick"]
    seconds = TIME_OUT_SECONDS.get(name, 60)
    ran = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=True)
    *lines, last = ran.stdout.splitlines()
    figures, bounds = json.loads(last), COUNTED[name] | TIMED[name]
    assert set(figures) == set(bounds)
    assert {
        key: figures[key]
        for key, (least, most) in bounds.items()
        if not least <= figures[key] <= most
    } == {}
    assert all(any(line.startswith(key) for line in lines) for key in figures)
