"""What the Redis adapters leave behind, and that they keep within one slot of a cluster."""

import socket

import pytest

from core import events
from core.adapters.upstash import keys
from core.adapters.upstash.commands import CommandError
from core.adapters.upstash.lean import LeanCommands
from core.costs.usage import Usage
from core.crews.ledger import Claim, Write
from core.flows import Status
from tests.fixtures_ports import Flows, a_launch, over_redis


async def a_whole_flow(flows: Flows) -> None:
    """Every operation of the ports once."""
    await flows.ledger.create(flows.tenant, a_launch())
    await flows.ledger.take(flows.tenant, 1, 1)
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(
        flows.tenant, "f1", step, owner="w", lease_ms=1000, events=events.step_started("one", 1)
    )
    assert isinstance(claim, Claim)
    for seq in range(1, 40):
        await flows.ledger.emit(claim, seq, 1000, Write(events.custom("x", 1), Usage(calls=1)))
    await flows.ledger.commit(claim, 40, {"output": 1}, Write(events.step_finished("one")))
    await flows.wake.wake(flows.tenant, "f1")
    await flows.log.recent(flows.tenant, 10)
    await flows.log.entries(flows.tenant, "f1", 0, 10)
    await flows.ledger.move(
        flows.tenant, "f1", Status.SUCCEEDED, status_epoch=0, events=events.run_finished("f1", 1)
    )


async def test_every_operation_of_a_tenant_stays_within_one_slot(cluster_gateway):
    rest = cluster_gateway
    commands = LeanCommands(rest.url, rest.token)
    with pytest.raises(CommandError, match="CROSSSLOT"):  # the server does mind
        await commands.execute(["MGET", keys.flow("a", "f"), keys.flow("b", "f")])
    await a_whole_flow(over_redis(commands, rest.url, rest.token))


async def test_every_key_has_a_time_to_live(gateway):
    commands = LeanCommands(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await a_whole_flow(flows)
    await flows.ledger.create(flows.tenant, a_launch("f2"))
    for key in await commands.execute(["KEYS", f"*{flows.tenant}*"]):
        assert await commands.execute(["TTL", key]) > 0, key
    assert await commands.execute(["TTL", keys.TENANTS]) > 0


async def test_a_script_that_the_server_forgot_is_sent_again(gateway):
    commands = LeanCommands(gateway.url, gateway.token)
    flows = over_redis(commands, gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    await commands.execute(["SCRIPT", "FLUSH"])
    assert await flows.ledger.create(flows.tenant, a_launch("f2")) is True


def calls(valkey) -> dict[str, int]:
    """How often each command ran, from the server's own count."""
    with socket.create_connection(valkey) as connection:
        connection.sendall(b"INFO commandstats\r\nPING\r\n")
        text = b""
        while not text.endswith(b"+PONG\r\n"):
            text += connection.recv(65536)
    lines = [line.split(":") for line in text.decode().splitlines() if line.startswith("cmdstat_")]
    return {name.removeprefix("cmdstat_"): int(v.split(",")[0].split("=")[1]) for name, v in lines}


async def test_an_unchanged_poll_is_one_command_and_an_emit_is_six(gateway, valkey):
    flows = over_redis(LeanCommands(gateway.url, gateway.token), gateway.url, gateway.token)
    await flows.ledger.create(flows.tenant, a_launch())
    step = (await flows.ledger.state(flows.tenant, "f1")).steps[0]
    claim = await flows.ledger.claim(flows.tenant, "f1", step, owner="w", lease_ms=1000, events=[])
    assert isinstance(claim, Claim)
    await flows.ledger.emit(claim, 1, 1000, Write(events.custom("x", 1)))  # the script is known now

    async def counted(call) -> dict[str, int]:
        before = calls(valkey)
        await call
        after = calls(valkey)
        changed = {name: after[name] - before.get(name, 0) for name in after}
        return {n: c for n, c in changed.items() if c and n not in ("info", "ping")}

    assert await counted(flows.log.head(flows.tenant, "f1")) == {"hmget": 1}
    assert await counted(flows.ledger.emit(claim, 2, 1000, Write(events.custom("x", 1)))) == {
        "evalsha": 1, "hmget": 1, "time": 1, "xadd": 1, "publish": 1, "hset": 1,
    }  # fmt: skip
