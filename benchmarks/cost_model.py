"""What hosts charge in a month for viewers and flows, from measured commands, bytes and milliseconds.

python -m benchmarks.cost_model --json

The prices are those of benchmarks/data/host_prices.csv, each with its source and date.
"""

import asyncio
from dataclasses import asdict

from benchmarks import hosting, hosting_measured, parts, report, streaming
from benchmarks.hosting import Audience, Bill, Hosts
from benchmarks.hosting_measured import FULL, QUICK
from benchmarks.report import Figure, short

VIEWERS, FLOWS = (1_000, 10_000), (1_000, 100_000)
MOST_RATIO = 0.1


def viewers(hosts: Hosts, count: int) -> list[Figure]:
    """Return what so many viewers cost on each host, in its default mode and polled."""
    audience = Audience(count)
    bills = {
        "lambda": hosts.lambda_streams(audience),
        "lambda_polls": hosts.lambda_polls(audience),
        "vercel": hosts.vercel_streams(audience),
        "container": hosts.container_streams(audience),
        "naive_lambda": hosts.naive_lambda(audience),
        "naive_vercel": hosts.naive_vercel(audience),
    }
    return [
        _figure(f"usd_month_{short(count)}_viewers_{name}", bill) for name, bill in bills.items()
    ]


def flows(hosts: Hosts, count: int) -> list[Figure]:
    """Return what so many flows cost on each host."""
    bills = {
        "lambda": hosts.lambda_flows(count),
        "vercel": hosts.vercel_flows(count),
        "container": hosts.container_flows(count),
    }
    return [_figure(f"usd_month_{short(count)}_flows_{name}", bill) for name, bill in bills.items()]


def _figure(key: str, bill: Bill) -> Figure:
    seen = ", ".join(f"{name} {usd:,.2f}" for name, usd in bill.items())
    return Figure(key, round(sum(bill.values()), 2), seen=seen)


def compared(figures: list[Figure]) -> list[Figure]:
    """Return the cheapest default and the cheapest naive host for 10,000 viewers, and their ratio."""
    usd = {figure.key.removeprefix("usd_month_10k_viewers_"): figure.value for figure in figures}
    default = min(("lambda", "vercel", "container"), key=lambda host: usd[host])
    naive = min(("naive_lambda", "naive_vercel"), key=lambda host: usd[host])
    return [
        Figure("usd_month_10k_viewers_default", usd[default], seen=default),
        Figure("usd_month_10k_viewers_naive", usd[naive], seen=naive),
        Figure("ratio", round(usd[default] / usd[naive], 4), f"<= {MOST_RATIO}"),
    ]


async def measured(running: parts.Parts, effort: hosting_measured.Effort) -> list[Figure]:
    """Return all figures."""
    seen = await hosting_measured.measured(running, effort)
    for name, value in asdict(seen).items():
        print(f"  {name:24} {value:g}")
    hosts = Hosts(seen, hosting.prices())
    of_viewers = [figure for count in VIEWERS for figure in viewers(hosts, count)]
    of_flows = [figure for count in FLOWS for figure in flows(hosts, count)]
    return [*of_viewers, *of_flows, *compared(of_viewers)]


def main() -> None:
    """Measure and tell."""
    chosen = report.options(__doc__)
    streaming.allow_connections()
    with parts.running() as running:
        figures = asyncio.run(measured(running, QUICK if chosen.quick else FULL))
    report.tell(figures, as_json=chosen.json)


if __name__ == "__main__":
    main()
