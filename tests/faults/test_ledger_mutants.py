"""Each guard in the scripts is there for a test: without it, that test fails.

A mutant is a copy of the scripts in which one guard is missing. It still runs: a script that is
refused by the server proves nothing, and fails here. (That a flow is created once has two guards:
the log takes no number twice, so without the other one the server refuses the script.)
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from core.adapters.upstash import calls
from core.adapters.upstash.http import HttpRedis
from core.crews.ledger import ExpiredError, FencedError
from core.errors import ConflictError
from tests.faults import feedback_mutants, flow_mutants, money_mutants, trial_mutants
from tests.faults.mutant import Mutant
from tests.faults.test_ledger_machine import over_gateway, played
from tests.fixtures_ports import over_redis, own_keys

REFUSALS = (FencedError, ExpiredError, ConflictError)
KILLED = (AssertionError, TimeoutError, pytest.fail.Exception, *REFUSALS)
MUTANTS = [
    *flow_mutants.MUTANTS,
    *money_mutants.MUTANTS,
    *feedback_mutants.MUTANTS,
    *trial_mutants.MUTANTS,
]


def test_every_guard_in_the_scripts_has_a_mutant():
    marked = {
        (path.stem, line.partition("-- guard: ")[2])
        for path in calls.FOLDER.glob("*.lua")
        for line in path.read_text().splitlines()
        if "-- guard: " in line
    }
    assert marked == {(mutant.script, mutant.guard) for mutant in MUTANTS}


def named(mutant: Mutant) -> str:
    return mutant.name


@pytest.mark.parametrize("mutant", MUTANTS, ids=named)
async def test_without_a_guard_its_test_fails(mutant: Mutant, gateway, tmp_path: Path):
    folder = mutant.folder(tmp_path)
    client = HttpRedis(gateway.url, gateway.token)
    flows = over_redis(client, gateway.url, gateway.token, folder, own_keys())
    with pytest.raises(KILLED):
        await mutant.test(flows)


FOUND_SOON = settings(
    max_examples=1500,
    report_multiple_bugs=False,
    stateful_step_count=30,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutant", [m for m in MUTANTS if m.any_order], ids=named)
def test_without_a_guard_the_machine_finds_a_way_to_break_it(mutant, gateway, tmp_path: Path):
    world = over_gateway(gateway, lua_folder=mutant.folder(tmp_path))
    with world as there, pytest.raises(KILLED):
        played(there, FOUND_SOON)
