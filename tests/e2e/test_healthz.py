"""GET /healthz of every function: ok, or degraded and why."""

import asyncio
import importlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from core import bootstrap
from core.adapters.upstash.commands import Command
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.store_check import StoreCheck
from core.errors import UnavailableError
from core.issuer import Issuer
from functions import crew_worker, flow_status, sweep
from functions._http import edge, health
from infra.api import app as one_port
from infra.local.processes import free_port
from tests.e2e.apps import App, LambdaContext, gateway_event
from tests.fixtures_api import process_environ
from tests.fixtures_servers import Rest
from tests.unit.test_issuer import TRUSTED, Published, published, signed

FUNCTIONS = [
    importlib.import_module(f"functions.{path.stem}")
    for path in sorted((Path(__file__).parents[2] / "functions").glob("[!_]*.py"))
]
SECRET = "a-secret-that-nobody-is-told"
WEBHOOK_SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cy0wMTIzNDU2Nzg5"


class Store:
    """A store that counts its commands, and answers as it is told."""

    def __init__(self, answer: Exception | float = 0.0, bucket: str | None = None) -> None:
        self.answer, self.bucket, self.commands = answer, bucket, list[Command]()

    async def execute(self, command: Command) -> Any:
        self.commands.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        await asyncio.sleep(self.answer)
        return self.bucket


def over(store: Any) -> AbstractContextManager[None]:
    """A process over a store, with no issuer."""
    check = StoreCheck(store, Keyspace(), bootstrap.settings().bucket)
    return bootstrap.replace(store_check=check, issuer=None)


pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test has a process that has not looked yet."""
    monkeypatch.setattr(edge, "health", health.Health())


async def asked(app: Any, method: str = "GET", path: str = "/healthz") -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.request(method, path)


@pytest.fixture
def configured(app: App) -> Iterator[None]:
    """Settings with all that any function needs."""
    del app  # whose settings these are
    with bootstrap.replace(settings=replace(bootstrap.settings(), offline_model=True)):
        yield


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_every_function_says_that_it_can_work(function: ModuleType):
    with over(Store()):
        answer = await asked(function.app)
        head = await asked(function.app, "HEAD")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert (head.status_code, head.content) == (200, b"")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
async def test_each_says_so_at_its_own_path_and_at_that_of_no_other(function: ModuleType):
    name = function.__name__.rpartition(".")[2]
    with over(Store()):
        assert (await asked(function.app, path=f"/healthz/{name}")).json() == {"status": "ok"}
        other = await asked(function.app, path="/healthz/nobody")
    assert other.status_code in {401, 404}


async def test_it_is_there_on_one_port_and_at_a_named_stage():
    with over(Store()):
        assert (await asked(one_port)).json() == {"status": "ok"}
        event = gateway_event("GET", "/prod/healthz", {})
        event["requestContext"]["stage"] = "prod"
        answer = await asyncio.to_thread(flow_status.handler, event, LambdaContext())
    assert answer["statusCode"] == 200


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (UnavailableError("the store cannot be reached"), "the store cannot be reached"),
        (60.0, "the store takes too long to answer"),
        (RuntimeError(SECRET), "the store refuses to answer; the log says why"),
    ],
)
async def test_a_store_that_is_away_is_said_with_a_status_that_balancers_heed(
    answer: Exception | float, why: str
):
    begun = time.monotonic()
    with over(Store(answer)):
        told = await asked(flow_status.app)
    assert told.status_code == 503
    assert told.json() == {"status": "degraded", "why": {"store": why}}
    assert time.monotonic() - begun < health.STORE_SECONDS + 2


async def test_a_store_that_another_deployment_has_begun_is_said():
    with over(Store(bucket="of-another")):
        told = await asked(flow_status.app)
    assert told.status_code == 503
    assert told.json()["why"] == {"store": "the store is another deployment's"}


async def test_however_many_ask_the_store_is_asked_once_in_ten_seconds():
    store = Store(0.05)
    with over(store):
        answers = await asyncio.gather(*(asked(flow_status.app) for _ in range(50)))
        answers.append(await asked(one_port, path="/healthz/crew_launch"))
        answers.append(await asked(one_port, path="/healthz/feedback"))
    assert {answer.status_code for answer in answers} == {200}
    assert store.commands == [["GET", "bucket"]]


async def test_what_was_wrong_is_looked_at_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(health, "KEEP_SECONDS", 0.0)
    store = Store(UnavailableError("the store cannot be reached"))
    with over(store):
        assert (await asked(flow_status.app)).status_code == 503
        store.answer = 0.0
        assert (await asked(flow_status.app)).status_code == 200


async def test_an_issuer_that_is_away_is_said_while_its_last_good_keys_serve():
    document, now = published(), int(time.time())
    issuer = Issuer(TRUSTED, document)
    await issuer.verify(signed(now=now - 2000), now - 1000)
    document.fails = True
    await issuer.verify(signed(now=now - 2000), now)
    with bootstrap.replace(redis=Store(), issuer=issuer):
        answer = await asked(flow_status.app)
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    assert answer.json()["why"] == {"token issuer": "the token issuer cannot be reached"}


async def test_no_issuer_is_asked_by_somebody_without_a_token():
    document = Published()
    with bootstrap.replace(redis=Store(), issuer=Issuer(TRUSTED, document)):
        assert (await asked(flow_status.app)).json() == {"status": "ok"}
    assert document.fetches == 0


def test_settings_that_cannot_be_used_are_said_without_what_they_hold(tmp_path: Path):
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "-m", "uvicorn", "functions.flow_status:app", "--port", str(port)]
    environ = {"CREWLINE_JWT_KEYS": f"k:{SECRET}", "PYTHONPATH": "."}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--lifespan", "off"], env=environ, stdout=out, stderr=out
        )
    try:
        answer = _patiently(f"http://127.0.0.1:{port}/healthz")
        flow = httpx.get(
            f"http://127.0.0.1:{port}/v1/flows/f1", headers={"authorization": "Bearer x"}
        )
    finally:
        process.kill()
        process.wait()
    assert answer.status_code == 503
    assert answer.json() == {"status": "degraded", "why": {"settings": health.SETTINGS}}
    assert flow.status_code == 500
    said = log.read_text("utf-8")
    assert "is not set; docs/settings.md says" in said
    assert SECRET not in said + answer.text


@pytest.mark.parametrize(("function", "status"), [("flow_status", 503), ("sweep", 200)])
def test_only_a_function_that_takes_tokens_needs_keys_to_check_them(
    function: str, status: int, gateway: Rest
):
    port = free_port()
    environ = process_environ(gateway)
    del environ["CREWLINE_JWT_KEYS"]
    command = [sys.executable, "-m", "uvicorn", f"functions.{function}:app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--lifespan", "off"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        answer = _patiently(f"http://127.0.0.1:{port}/healthz")
    finally:
        process.kill()
        process.wait()
    why = {"status": "degraded", "why": {"settings": health.SETTINGS}}
    assert (answer.status_code, answer.json()) == (
        status,
        why if status == 503 else {"status": "ok"},
    )


def test_what_one_function_lacks_is_no_trouble_of_another(gateway: Rest):
    port = free_port()
    environ = process_environ(gateway)  # which has no key to seal models with
    command = [sys.executable, "-m", "uvicorn", "infra.api:app", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--lifespan", "off"], env=environ, stderr=subprocess.DEVNULL
    )
    try:
        url = f"http://127.0.0.1:{port}/healthz/"
        seen = {name: _patiently(url + name) for name in ("cost_report", "feedback")}
    finally:
        process.kill()
        process.wait()
    assert (seen["cost_report"].status_code, seen["feedback"].status_code) == (200, 503)
    assert seen["feedback"].json()["why"] == {"settings": health.SETTINGS}


@pytest.mark.parametrize(
    ("function", "lacking", "given"),
    [
        (crew_worker, {"offline_model": False}, {"offline_model": True}),
        (sweep, {"webhook_hosts": {"t": ("a.example",)}}, {"webhook_secrets": (WEBHOOK_SECRET,)}),
    ],
)
async def test_nobody_says_that_it_can_work_without_a_setting_that_only_it_needs(
    function: ModuleType, lacking: dict[str, Any], given: dict[str, Any]
):
    for more, status in ((lacking, 503), (lacking | given, 200)):
        settings = replace(bootstrap.settings(), **more)
        with bootstrap.replace(redis=Store(), issuer=None, settings=settings):
            assert (await asked(function.app)).status_code == status
            assert (await asked(flow_status.app)).status_code == 200
        edge.health = health.Health()


def _patiently(url: str) -> httpx.Response:
    for _ in range(150):
        try:
            return httpx.get(url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError("no server came")
