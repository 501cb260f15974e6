"""The bills of benchmarks.cost_model: a price table that can be checked, and sums that a pocket calculator gives."""

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime

import pytest

from benchmarks import hosting
from benchmarks.hosting import Audience, Bill, Hosts, Measured

DATED = re.compile(r"20\d{2}(-\d{2}(-\d{2})?)?")
SEEN = Measured(**{field.name: 1.0 for field in fields(Measured)})
VIEWER_SECONDS = 518_400  # of one in a month: a fifth of 30 days
VIEWERS, FLOWS = Audience(1_000), 1_000


class Noted(dict[str, float]):
    """Prices that note which of them are asked for."""

    def __init__(self, prices: dict[str, float]) -> None:
        super().__init__(prices)
        self.asked = set[str]()

    def __getitem__(self, name: str) -> float:
        self.asked.add(name)
        return super().__getitem__(name)


def bills(hosts: Hosts) -> Iterator[Bill]:
    """Yield every bill that is told."""
    yield from (
        of_viewers(VIEWERS)
        for of_viewers in (
            hosts.lambda_streams, hosts.lambda_polls, hosts.vercel_streams, hosts.container_streams,
            hosts.naive_lambda, hosts.naive_vercel,
        )
    )  # fmt: skip
    yield from (
        of_flows(FLOWS)
        for of_flows in (hosts.lambda_flows, hosts.vercel_flows, hosts.container_flows)
    )


def rows() -> list[dict[str, str]]:
    with hosting.PRICES.open(encoding="utf-8", newline="") as table:
        return list(csv.DictReader(table))


def test_each_price_says_for_how_much_since_when_and_who_says_so():
    names = [row["name"] for row in rows()]
    assert len(names) == len(set(names))
    for row in rows():
        assert 0 < float(row["usd"]) < math.inf, row
        assert row["per"], row
        assert DATED.fullmatch(row["as_of"]), row
        assert date.fromisoformat(f"{row['as_of']}-01-01"[:10]) <= datetime.now(UTC).date(), row
        assert re.fullmatch(r"https://[a-z.]*(amazon|vercel|upstash)\.com/\S+", row["source"]), row


def test_each_price_is_on_a_bill_and_no_other_is_asked_for():
    prices = Noted(hosting.prices())
    assert len(list(bills(Hosts(SEEN, prices)))) == 9
    assert prices.asked == prices.keys()


def test_no_part_of_a_bill_is_negative_or_without_a_number():
    for bill in bills(Hosts(SEEN, hosting.prices())):
        assert all(0 <= usd < math.inf for usd in bill.values()), bill
        assert sum(bill.values()) > 0


@pytest.fixture
def hosts() -> Hosts:
    """Hosts on which each thing costs a dollar."""
    return Hosts(SEEN, dict.fromkeys(hosting.prices(), 1.0))


def test_a_stream_on_lambda_costs_its_time_its_requests_its_commands_and_its_bytes(hosts: Hosts):
    assert hosts.lambda_streams(Audience(1)) == pytest.approx({
        "compute": VIEWER_SECONDS * 0.5,
        "requests": VIEWER_SECONDS / 55 / 1e6 * 2,  # of Lambda and of API Gateway
        "redis": VIEWER_SECONDS / 55 / 1e5,
        "traffic": VIEWER_SECONDS / 60 / 1e9,
    })  # fmt: skip


def test_a_poll_on_lambda_is_billed_by_whole_milliseconds_of_its_share_of_a_processor(hosts: Hosts):
    bill = hosts.lambda_polls(Audience(1))
    polls = VIEWER_SECONDS / 2
    assert bill["compute"] == pytest.approx(polls * 0.004 * 0.5)  # 1 ms of a whole one is 3.5 here
    assert bill["redis"] == pytest.approx(polls / 1e5)


def test_the_naive_design_asks_redis_each_second_of_each_viewer(hosts: Hosts):
    for bill in (hosts.naive_lambda(Audience(10)), hosts.naive_vercel(Audience(10))):
        assert bill["redis"] == pytest.approx(10 * VIEWER_SECONDS / 1e5)


def test_few_containers_are_two_of_half_a_processor_and_a_gigabyte(hosts: Hosts):
    seen = Measured(**{field.name: 0.0 for field in fields(Measured)})
    bill = Hosts(seen, dict.fromkeys(hosting.prices(), 1.0)).container_streams(Audience(1))
    assert bill == {"compute": 720 * 2 * 1.5, "balancer": 720 * 2, "redis": 0, "traffic": 0}
    assert hosts.container_streams(Audience(1_000))["compute"] > bill["compute"]


def test_a_flow_meets_a_cold_worker_that_it_pays_for(hosts: Hosts):
    one, two = hosts.lambda_flows(1), hosts.lambda_flows(2)
    assert two["worker"] == 2 * one["worker"] == pytest.approx(2 * (30 + 1 + 1) * 2)
    assert two["sweep"] == one["sweep"] > 0  # each minute, whoever launches anything
    assert two["objects"] - one["objects"] == pytest.approx((2 + 2) / 1000)
