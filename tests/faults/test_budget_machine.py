"""Any sequence of calls, doubled, late and lost, overspends no budget and forgets no charge."""

import asyncio
import time

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.budget_machine import BudgetMachine
from tests.faults.test_ledger_machine import LONG, InMemory, over_gateway
from tests.ledger_world import World


def played(world: World, how_long: settings) -> None:
    """Let machines run in this world; raise what they find."""

    class Machine(BudgetMachine):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(Machine, settings=how_long)


def test_in_memory_no_budget_is_overspent():
    with asyncio.Runner() as runner:
        played(InMemory(runner), settings(LONG, max_examples=60))


@pytest.mark.timeout(300)
def test_the_scripts_overspend_no_budget_when_replies_are_lost(gateway):
    seed = time.time_ns() % 1000
    print("seed", seed)
    with over_gateway(gateway, lost=0.05, seed=seed) as world:
        played(world, LONG)
