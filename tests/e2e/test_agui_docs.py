"""What docs/agui.md tells an application to do, done as it stands there."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

from tests.e2e.agui_server import BRIEF, Server, serve

__all__ = ["serve"]  # the fixture

CONNECT, REPEAT, ANSWER = re.findall(
    r"```js\n(.*?)```", Path("docs/agui.md").read_text(), re.DOTALL
)
GIVEN = "const [base, token, question, notes] = process.argv.slice(1)\n"
STATUS = "console.log(JSON.stringify([agent.state.flow.status, agent.pendingInterrupts.length]))\n"
HAIKU = """
import { HttpAgent } from "@ag-ui/client"
const headers = { Authorization: `Bearer ${token}` }
const agent = new HttpAgent({ url: `${base}/v1/agui/haiku`, headers })
agent.addMessage({ id: "m1", role: "user", content: "rain" })
"""


async def done(server: Server, script: str) -> list[list[Any]]:
    """Run a page's script; return the lines that it printed."""
    token = server.app.bearer()["authorization"].removeprefix("Bearer ")
    given = (server.url, token, BRIEF["question"], BRIEF["notes"])
    module = ("--input-type=module", "-e", GIVEN + script)
    ran = await asyncio.to_thread(server.run_node, *module, *given)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


async def test_an_application_connects_and_a_person_answers(serve: Any):
    server = await serve()
    printed = await done(server, CONNECT + STATUS + ANSWER + STATUS)
    assert printed == [["waiting", 1], ["waiting", 1]]
    (flow,) = await server.app.flows.recent("acme", 10)
    state = await server.app.flows.state("acme", flow.id)
    assert state.results["write.review.1"]["output"]["feedback"] == "Shorter, please."


async def test_an_application_follows_a_run_over_several_streams(serve: Any):
    server = await serve(pause_seconds=0.25, agui_seconds=0.5)
    assert await done(server, HAIKU + REPEAT + STATUS) == [["succeeded", 0]]
