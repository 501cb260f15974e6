"""Any sequence of calls, doubled, late and lost, overspends no budget and forgets no charge.

And the machine that plays them finds each of the faults that such scripts are known to have.
"""

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from tests.budget_machine import BudgetMachine
from tests.faults import money_mutants
from tests.faults.mutant import Mutant
from tests.faults.test_ledger_machine import LONG, InMemory, over_gateway
from tests.faults.test_ledger_mutants import FOUND_SOON
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


MUTANTS = {mutant.name: mutant for mutant in money_mutants.MUTANTS}
KNOWN_FAULTS = {  # by the guard that is missing then
    "what a lost call held is given back": "money: it may have been made",
    "a call is settled again": "settle: once",
    "what others hold is given away": "reserve: what others hold",
    "only the first budget counts": "accounts: every budget",
    "a call that waits for money spends it": "reserve: it holds nothing",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fault", KNOWN_FAULTS)
def test_the_machine_finds_it_where(fault: str, gateway, tmp_path: Path):
    mutant: Mutant = MUTANTS[KNOWN_FAULTS[fault]]
    with (
        over_gateway(gateway, lua_folder=mutant.folder(tmp_path)) as world,
        pytest.raises(AssertionError),
    ):
        played(world, FOUND_SOON)
