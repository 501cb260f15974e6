"""The page shows what is too large for a state: a draft that a person is asked about, and the output."""

from collections.abc import AsyncIterator

import boto3
import pytest
import pytest_asyncio
from playwright.async_api import expect

from core.crews.clock import NoLimit
from core.crews.outcomes import Outcome
from infra.local.processes import Processes, free_port
from tests.browser.conftest import Viewer
from tests.browser.network import Network, network
from tests.browser.test_page import launched, opened
from tests.clients.conftest import AWS, BUCKET, KEYS, Deployment
from tests.fixtures_api import Api
from tests.fixtures_ports import Flows
from tests.fixtures_servers import Redis
from tests.large_values import TEXT, Writes, a_worker, values_in

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def net(processes: Processes, valkey: Redis, s3: str) -> AsyncIterator[Network]:
    """An API with an object store in the place of the one that all tests share."""
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **KEYS).create_bucket(
        Bucket=BUCKET
    )
    made = Deployment(processes, valkey, free_port(), Api(f"http://127.0.0.1:{free_port()}"))
    made.start_gateway()
    made.start_api(s3)
    async with network(made.api.url) as between:
        yield between
    processes.stop("own-api", "own-gateway")


async def test_a_large_draft_and_a_large_output_are_shown_whole(
    viewer: Viewer, flows: Flows, s3: str, monkeypatch: pytest.MonkeyPatch
):
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    page = await opened(viewer, "research_brief_approved")
    worker, flow = a_worker(flows, Writes(), values_in(BUCKET, s3)), await launched(flows)
    assert await worker.run_flow(flows.tenant, flow, NoLimit()) is Outcome.WAITS
    await expect(page.locator("#draft")).to_have_text(TEXT.strip())
    await page.get_by_role("button", name="Approve").click()
    await expect(page.locator("#review")).to_be_hidden()
    assert await worker.run_flow(flows.tenant, flow, NoLimit()) is Outcome.ENDED
    await expect(page.locator("#output")).to_have_text(TEXT.strip())
