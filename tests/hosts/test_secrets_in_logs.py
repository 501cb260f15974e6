"""That no process prints a secret, or what others wrote: real ones, with a canary in all they are given.

A canary is a text that holds CANARY: keys, tokens and secrets of the settings, prompts, the answers
and failures of the model's server, arguments of tools, answers of a webhook's receiver.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from core import identity
from core.adapters.upstash.http import HttpRedis
from core.crews import strategies
from core.crews.definition import Definition
from infra.local.processes import LocalError, Processes, answers_http, free_port
from tests.crewai_parts import native_call
from tests.fixtures_ports import Flows, a_launch, over_redis
from tests.fixtures_servers import Rest, start_gateway, start_valkey, unavailable
from tests.scripted_provider import ScriptedProvider, Turn, playing
from tests.webhook_parts import Posted, receiving, until

CANARY = "canary-7f3a"
KEY = f"{CANARY}-of-thirty-two-characters-or-more"
ERROR = {"message": f"Incorrect API key: {KEY}", "code": KEY, "param": CANARY, "type": CANARY}
CREW = Definition.model_validate(
    {
        "name": "c", "description": CANARY, "process": "sequential",
        "agents": {"a": {"role": "r", "goal": CANARY, "backstory": CANARY}},
        "tasks": {
            "one": {"description": f"Look at {CANARY}", "expected_output": CANARY, "agent": "a",
                    "tools": ["profile_csv"]},
        },
    }
)  # fmt: skip
BROKEN_ARGUMENTS = {"name": "profile_csv", "arguments": f'{{"file": {CANARY}'}
CALLS = [native_call("profile_csv", file=CANARY) | {"id": f"call_{n}"} for n in range(3)]
TURNS = [
    Turn(tools=CALLS, finish="tool_calls"),  # CrewAI runs them in threads of its own
    Turn(tools=CALLS[:1], finish="tool_calls"),
    Turn(tools=[CALLS[0] | {"function": BROKEN_ARGUMENTS}], finish="tool_calls"),
    Turn(tools=[native_call(CANARY, x=CANARY)], finish="tool_calls"),
    Turn(status=401, error=ERROR),
    Turn(status=400, error=ERROR),
    Turn(status=500, error=ERROR),
    Turn(status=500, error=CANARY),
    Turn(status=404, error={"message": CANARY}, headers={"x-canary": CANARY}),
    Turn(error=CANARY),
    Turn(text=CANARY, in_stream=True, error=ERROR),
    Turn(text=CANARY, cut_after=8),
    Turn(text=CANARY, usage={"prompt_tokens": CANARY, "completion_tokens": [CANARY]}),
    Turn(text=CANARY, finish=CANARY),
    Turn(text=CANARY, finish="content_filter"),
    Turn(refusal=CANARY),
    Turn(text=f"Thought: {CANARY}\nAction: {CANARY}\nAction Input: {CANARY}"),
    Turn(text=CANARY),
]


@dataclass(frozen=True)
class Hosts:
    """A worker and an API as processes of their own."""

    processes: Processes
    folder: Path
    rest: Rest
    port: int

    def output(self, name: str) -> str:
        """Return what one has printed, stdout and stderr."""
        return (self.folder / "logs" / f"{name}.log").read_text()

    def start(self, environ: dict[str, str]) -> None:
        command = [sys.executable, "-m", "uvicorn", "infra.api:app", "--port", str(self.port)]
        command += ["--lifespan", "off", "--no-access-log"]  # uvicorn's has the tickets of queries
        self.processes.start("api", command, environ=environ)
        worker = [sys.executable, "-m", "functions.crew_worker"]
        self.processes.start("worker", worker, environ=environ)
        self.processes.wait_until("api", lambda: answers_http(self.port), 60)

    def stop(self) -> None:
        """End both as a host does, which lets them say their last words."""
        for name in ("worker", "api"):
            os.killpg(self.processes.pid(name) or 0, signal.SIGTERM)
            with pytest.raises(LocalError):
                self.processes.wait_until(name, lambda: False, 20)


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    with Processes(tmp_path) as processes:
        try:
            rest = start_gateway(processes, start_valkey(processes, tmp_path, free_port()))
        except LocalError as error:
            unavailable(error)
        yield Hosts(processes, tmp_path, rest, free_port())


def environ(rest: Rest, tenant: str, model_url: str, webhook_url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {
        **kept,
        "UPSTASH_REDIS_REST_URL": rest.url,
        "UPSTASH_REDIS_REST_TOKEN": rest.token,
        "CREWLINE_JWT_KEYS": f"k1:{KEY}",
        "CREWLINE_BUCKET": CANARY,
        "AWS_ACCESS_KEY_ID": CANARY,
        "AWS_SECRET_ACCESS_KEY": KEY,
        "CREWLINE_MODEL": "gpt-4o-mini",
        "CREWLINE_MODEL_API_KEY": KEY,
        "CREWLINE_MODEL_BASE_URL": model_url,
        "CREWLINE_WEBHOOK_HOSTS": f"{tenant}={webhook_url}",
        "CREWLINE_WEBHOOK_SECRET": KEY,
    }


def refuse(posted: Posted) -> bytes:
    """Answer a webhook with a failure, with a status line that is none, and so on."""
    body = f"content-length: {len(CANARY)}\r\n\r\n{CANARY}"
    broken = f"{CANARY}\r\n\r\n"
    odd = len(posted.id) % 2 == 1
    return (broken if odd else f"HTTP/1.1 500 {CANARY}\r\n{body}").encode()


async def launch(flows: Flows, flow: str, webhook_url: str) -> None:
    webhooks = {"crew": f"{webhook_url}/{CANARY}", "authorization": {"crew": f"Bearer {KEY}"}}
    definition, steps = CREW.model_dump(mode="json"), strategies.initial_steps(CREW)
    made = a_launch(
        flow, definition=definition, steps=steps, inputs={"x": CANARY}, webhooks=webhooks
    )
    await flows.ledger.create(flows.tenant, made)
    await flows.wake_queue.enqueue(flows.tenant, flow)


async def spoil(flows: Flows, commands: HttpRedis, flow: str) -> None:
    """Make a flow one that no process can read, and have a worker try."""
    await flows.ledger.create(flows.tenant, a_launch(flow))
    key = flows.keys.flow(flows.tenant, flow)
    await commands.execute(["DEL", key])
    await commands.execute(["SET", key, CANARY])
    await flows.wake_queue.enqueue(flows.tenant, flow)


def ask(port: int, tenant: str) -> set[int]:
    """Have the API refuse and fail; return its status codes."""
    keys, now = identity.Keys({"k1": KEY}), int(time.time())
    token = identity.mint(keys, tenant, "me", identity.SCOPES, ttl_seconds=3600, now=now)
    good = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        answers = [
            http.get("/v1/flows", headers={"authorization": f"Bearer {KEY}"}),
            http.get(f"/v1/flows/broken/events?ticket={KEY}"),
            http.get(f"/v1/flows/broken?{CANARY}={CANARY}", headers=good),
            http.get(f"/v1/flows/{CANARY}", headers=good | {"x-request-id": f"a b {CANARY}"}),
            http.post("/v1/flows", content=f'{{"crew": "{CANARY}', headers=good),
            http.post("/v1/flows", json={"crew": CANARY, "inputs": {CANARY: CANARY}}, headers=good),
        ]
    return {answer.status_code for answer in answers}


async def go_through_all(
    hosts: Hosts, flows: Flows, provider: ScriptedProvider, webhook_url: str
) -> None:
    """Let the processes go through all that is meant to fail, and stop them."""
    commands = HttpRedis(hosts.rest.url, hosts.rest.token)
    names = [f"f{n}" for n in range(len(TURNS))]
    for name in names:
        await launch(flows, name, webhook_url)
    await spoil(flows, commands, "broken")
    asked = await asyncio.to_thread(ask, hosts.port, flows.tenant)
    assert {401, 422, 500} <= asked
    async with asyncio.timeout(90):
        for name in names:
            while not (await flows.log.head(flows.tenant, name)).status.terminal:  # noqa: ASYNC110 -- the store tells no event
                await asyncio.sleep(0.05)
    await until(lambda: hosts.output("worker").count("a webhook is tried again") > 1)
    assert len(provider.requests) >= len(TURNS)
    await asyncio.to_thread(hosts.stop)


def lines(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


async def test_no_process_prints_a_secret_or_what_others_wrote(hosts: Hosts):
    flows = over_redis(HttpRedis(hosts.rest.url, hosts.rest.token), *hosts.rest)
    async with receiving(refuse) as receiver:
        with playing(*TURNS) as provider:
            hosts.start(environ(hosts.rest, flows.tenant, provider.url, receiver.url))
            await go_through_all(hosts, flows, provider, receiver.url)
    for name in ("worker", "api"):
        assert CANARY not in hosts.output(name)
        assert hosts.rest.token not in hosts.output(name)
    logged = lines(hosts.output("worker"))
    for message in ("the tool profile_csv failed", "the model's provider answered 401"):
        said = [line for line in logged if line["message"].startswith(message)]
        assert said
        assert all(line["step"] == "one" and line["flow"].startswith("f") for line in said)
