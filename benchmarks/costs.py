"""Costs: budgets under a race, what reserving, reports and batches of calls cost, trials of models.

python -m benchmarks.costs --json
"""

import asyncio

from benchmarks import cost_budgets, cost_reports, cost_trials, parts, report


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    few, many, reads, batches = (
        (1_000, 20_000, 3, 5) if chosen.quick else (10_000, 1_000_000, 15, 40)
    )
    races = (2, 50) if chosen.quick else (20, 1_000)  # and calls one after the other
    with parts.running() as running:
        figures = asyncio.run(cost_budgets.measured(running, *races))
        figures += asyncio.run(cost_reports.measured(running, few, many, reads, batches))
    figures += cost_trials.figures()
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()
