"""What the store and the bucket hold before a table of requests is played: flows in each of their states."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from core import identity
from core.adapters.s3 import S3Blobs
from core.adapters.upstash.http import HttpRedis
from core.blobs import BlobRef
from core.crews.ledger import Claim
from core.flows import Status, events
from core.flows.values import output_blob
from core.json_text import compact_bytes
from tests.fixtures_api import BUCKET, SECRET, Api
from tests.fixtures_ports import Flows, a_launch, over_redis
from tests.fixtures_servers import Rest
from tests.hosts.asking import ORIGIN

BASE = "/base"
LONG_MS = 3_600_000
AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}
LARGE = {"text": "Größe " * 40_000}
# Each flow's incarnation is given, so that tags and cursors are the same for every tenant.
INCARNATIONS = {"done": "5eed0001", "open": "5eed0002", "large": "5eed0003", "waiting": "5eed0004",
                "asked": "5eed0005", "dismissed": "5eed0006"}  # fmt: skip


def settings(rest: Rest, s3: str) -> dict[str, str]:
    """Return the environment of all hosts alike."""
    return {
        **AWS,
        "UPSTASH_REDIS_REST_URL": rest.url,
        "UPSTASH_REDIS_REST_TOKEN": rest.token,
        "CREWLINE_JWT_KEYS": f"k1:{SECRET}",
        "CREWLINE_LEARNING_KEYS": f"k1:{SECRET}",
        "CREWLINE_BUCKET": BUCKET,
        "CREWLINE_S3_ENDPOINT": s3,
        "CREWLINE_CORS_ORIGINS": ORIGIN,
        "CREWLINE_BASE_PATH": BASE,
        "CREWLINE_MODEL": "openai/gpt-4o",
        "CREWLINE_MODEL_API_KEY": "none",
        "CREWLINE_MODELS": "openai/gpt-4o-mini",
    }


def seeded(rest: Rest, s3: str) -> Callable[[str], dict[str, str]]:
    """Make a tenant with flows; return its tokens, of somebody who may do everything, or nothing."""
    flows = over_redis(HttpRedis(rest.url, rest.token), rest.url, rest.token)
    asyncio.run(_seed(flows, S3Blobs(BUCKET, s3)))
    everything = Api("").auth(flows.tenant)
    keys = identity.Keys({"k1": SECRET})
    nothing = identity.mint(keys, flows.tenant, "me", [], ttl_seconds=3600, now=int(time.time()))
    tokens: Mapping[str, Any] = {
        "everything": everything,
        "nothing": {"authorization": f"Bearer {nothing}"},
    }
    return lambda who: dict(tokens[who])


async def _seed(flows: Flows, blobs: S3Blobs) -> None:
    for name, incarnation in INCARNATIONS.items():
        await flows.ledger.create(flows.tenant, a_launch(name, incarnation=incarnation))
    await _end(flows, "done", {"text": "Grüße 🙂 \x85 </script>"})
    blob, data = output_blob("large", INCARNATIONS["large"]), compact_bytes(LARGE)
    blobs.put(flows.tenant, blob, data, "application/json")
    await _end(flows, "large", BlobRef(blob, len(data)))
    for name in ("waiting", "asked", "dismissed"):
        await _ask(flows, name)


async def _end(flows: Flows, flow: str, output: Any) -> None:
    await flows.ledger.transition(
        flows.tenant, flow, Status.SUCCEEDED, status_epoch=0,
        events=events.run_finished(flow, None), output=output,
    )  # fmt: skip


async def _ask(flows: Flows, flow: str) -> None:
    """Have a flow wait for a person, after its first step."""
    asked = {
        "review": "one.review.1",
        "task": "one",
        "step": "one",
        "agent": "A",
        "output": "draft",
    }
    state = await flows.ledger.state(flows.tenant, flow)
    claim = await flows.ledger.claim(
        flows.tenant,
        flow,
        state.steps[0],
        owner="w",
        lease_ms=LONG_MS,
        events=events.step_started("one", 1),
    )
    assert isinstance(claim, Claim)
    state = await flows.ledger.state(flows.tenant, flow)
    await flows.ledger.transition(
        flows.tenant, flow, Status.WAITING, status_epoch=state.status_epoch,
        events=events.custom("waiting", asked), waiting=asked,
    )  # fmt: skip
