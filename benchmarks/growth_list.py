"""GET /v1/flows of a tenant with very many flows, against one with a hundred."""

import itertools
import statistics
import time
from urllib.request import Request, urlopen

from benchmarks.crew_flows import a_launch, short_crew
from benchmarks.growth_tenants import side_by_side
from benchmarks.parts import Parts, Server
from benchmarks.report import Figure, short

FEW = 100


async def measured(running: Parts, many: int, reads: int) -> list[Figure]:
    """Read both lists in turns; the ratio of the medians."""
    status = running.serve("status", "functions.flow_status:app")
    for tenant, flows in (("few", FEW), ("many", many)):
        await _seed(running, tenant, flows)
    times: dict[str, list[float]] = {"few": [], "many": []}
    for tenant in itertools.islice(itertools.cycle(times), 2 * reads):
        times[tenant].append(_read_ms(status, running.bearer(tenant=tenant)))
    running.processes.stop("status")
    few, long = statistics.median(times["few"]), statistics.median(times["many"])
    name = short(many)
    seen = f"{long:.2f} ms with {many} flows, {few:.2f} with {FEW}"
    return [Figure(f"list_{name}_vs_{FEW}", round(long / few, 3), "<= 1.5", seen)]


async def _seed(running: Parts, tenant: str, flows: int) -> None:
    ledger, definition = running.ledger(), short_crew()

    async def create(_: int) -> None:
        await ledger.create(tenant, a_launch(definition))

    await side_by_side(range(flows), create)


def _read_ms(status: Server, authorization: str) -> float:
    url = f"http://127.0.0.1:{status.port}/v1/flows"
    began = time.perf_counter()
    with urlopen(Request(url, headers={"Authorization": authorization})) as answer:
        answer.read()
    return (time.perf_counter() - began) * 1000
