"""From POST /v1/feedback to the recommendation that shows it, over HTTP: functions, gateway and Redis.

Part of benchmarks.recommend.
"""

import statistics
import time
from typing import Any

import httpx  # noqa: TID253  # as a client of the API

from benchmarks.parts import Parts, commands_so_far, running
from benchmarks.report import Figure
from core.identity import FEEDBACK_WRITE, FLOWS_READ, RECOMMENDATIONS_READ

TASK = "route"
SCOPES = (FEEDBACK_WRITE, FLOWS_READ, RECOMMENDATIONS_READ)


async def visible(rounds: int) -> list[Figure]:
    """Tell how long a feedback takes until it shows, and what a recommendation asks of Redis."""
    with running(with_objects=True) as parts:
        server = parts.serve("api", "infra.api:app")
        headers = {"authorization": parts.bearer(scopes=SCOPES)}
        url = f"http://127.0.0.1:{server.port}"
        async with httpx.AsyncClient(base_url=url, headers=headers) as client:
            await _shown(client, -1)  # connects, and looks for a model
            return [await _latency(client, rounds), await _commands(client, parts, rounds)]


async def _latency(client: httpx.AsyncClient, rounds: int) -> Figure:
    sums, news, plain, polls = list[float](), list[float](), list[float](), list[float]()
    for number in range(rounds):
        began = time.perf_counter()
        _, shown_ms = await _shown(client, number)
        sums.append(1000 * (time.perf_counter() - began))
        news.append(shown_ms)
        plain.append((await _timed(client, "POST", "/v1/recommendations", _question(number)))[1])
        polls.append((await _timed(client, "GET", "/v1/flows?limit=1"))[1])
    shown, without, poll = (statistics.median(some) for some in (news, plain, polls))
    seen = (
        f"feedback, and the answer that shows it ({shown:.1f} ms; without news {without:.1f},"
        f" a list of no flows {poll:.1f})"
    )
    return Figure("feedback_visible_ms", round(statistics.median(sums), 2), seen=seen)


async def _commands(client: httpx.AsyncClient, parts: Parts, rounds: int) -> Figure:
    """Count what recommendations ask of Redis, each after a feedback."""
    redis, asked = parts.redis(), 0
    for number in range(rounds, 2 * rounds):
        await _say(client, number)
        before = await commands_so_far(redis)
        await _timed(client, "POST", "/v1/recommendations", _question(number))
        asked += (await commands_so_far(redis) - before).total()
    each = round(asked / rounds, 2)
    return Figure(
        "redis_commands_per_recommendation",
        each,
        "<= 1.2",
        "with news; the pointer's floor each 15 s",
    )


async def _shown(client: httpx.AsyncClient, number: int) -> tuple[float, float]:
    """Say something new, and ask; return the milliseconds of each."""
    said_ms = await _say(client, number)
    found, shown_ms = await _timed(client, "POST", "/v1/recommendations", _question(number))
    assert found["actions"][0]["action"] == f"action {number % 10}"  # noqa: S101  # it shows
    return said_ms, shown_ms


async def _say(client: httpx.AsyncClient, number: int) -> float:
    body = _question(number) | {"action": f"action {number % 10}"}
    return (await _timed(client, "POST", "/v1/feedback", body))[1]


def _question(number: int) -> dict[str, Any]:
    return {"task": TASK, "context": {"message": f"request word{number} of type{number % 10}"}}


async def _timed(
    client: httpx.AsyncClient, method: str, path: str, body: dict[str, Any] | None = None
) -> tuple[Any, float]:
    began = time.perf_counter()
    answer = await client.request(method, path, json=body)
    took = 1000 * (time.perf_counter() - began)
    answer.raise_for_status()
    return answer.json(), took
