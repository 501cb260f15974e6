"""Sweep and retraining by Vercel's crons: a GET with CRON_SECRET, and by nobody else."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from core import bootstrap
from core.config import Settings, SettingsError
from functions import retrain, sweep
from tests.e2e.apps import App, opened
from tests.fixtures_ports import a_launch
from tests.worker_parts import FITTING

SECRET = "f3a91c07" * 4
BOTH = [(sweep, "/v1/sweep", {"woken": 0, "told": 0}), (retrain, "/v1/retrain", {})]
both = pytest.mark.parametrize(("function", "path", "done"), BOTH, ids=["sweep", "retrain"])


@pytest.fixture
def cron_app(tmp_path: Path) -> Iterator[App]:
    with (
        opened(tmp_path, cron_secret=SECRET) as app,
        bootstrap.replace(store_check=FITTING),
    ):
        yield app


async def knock(function: ModuleType, path: str, authorization: str | None) -> httpx.Response:
    headers = {} if authorization is None else {"authorization": authorization}
    transport = httpx.ASGITransport(function.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers=headers)


@pytest.mark.usefixtures("cron_app")
@both
async def test_a_cron_has_it_done(function: ModuleType, path: str, done: dict[str, int]):
    answer = await knock(function, path, f"Bearer {SECRET}")
    assert (answer.status_code, answer.json()) == (200, done)
    assert answer.headers["cache-control"] == "no-store"


async def test_a_sweep_by_a_cron_wakes_what_is_due(cron_app: App):
    await cron_app.flows.create("acme", a_launch("f1"))
    answer = await knock(sweep, "/v1/sweep", f"Bearer {SECRET}")
    assert answer.json()["woken"] == 1


@pytest.mark.parametrize(
    "authorization",
    [None, "", SECRET, f"Bearer {SECRET[:-1]}", f"Bearer {SECRET}x", "Bearer undefined", "Basic x"],
)
@both
async def test_nobody_else_does(
    cron_app: App,
    function: ModuleType,
    path: str,
    done: dict[str, int],
    authorization: str | None,
):
    await cron_app.flows.create("acme", a_launch("f1"))
    answer = await knock(function, path, authorization)
    assert answer.status_code == 401, done
    assert SECRET not in answer.text


@both
async def test_nor_a_tenant_with_a_token(
    cron_app: App, function: ModuleType, path: str, done: dict[str, int]
):
    answer = await knock(function, path, cron_app.bearer()["authorization"])
    assert answer.status_code == 401, done


@pytest.mark.usefixtures("app")
@both
async def test_without_a_secret_there_is_nothing_to_call(
    function: ModuleType, path: str, done: dict[str, int]
):
    for authorization in (None, "Bearer None", "Bearer undefined"):
        assert (await knock(function, path, authorization)).status_code == 404, done


def test_a_secret_that_can_be_guessed_is_refused():
    with pytest.raises(SettingsError, match="CRON_SECRET"):
        Settings.from_environ(
            {
                "UPSTASH_REDIS_REST_URL": "https://x.upstash.io",
                "UPSTASH_REDIS_REST_TOKEN": "t",
                "CREWLINE_BUCKET": "b",
                "CREWLINE_JWT_KEYS": f"k:{SECRET}",
                "CRON_SECRET": "1234",
            }
        )
