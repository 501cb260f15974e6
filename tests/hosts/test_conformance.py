"""All hosts answer alike: the dev host, AWS Lambda by each kind of gateway, and Vercel."""

import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.hosts import emulator, seeds
from tests.hosts.asking import Answer, Line, differences
from tests.hosts.conftest import Place
from tests.hosts.gateway_events import Gateway
from tests.hosts.host_kinds import OnLambda, StreamedOnLambda
from tests.hosts.lambda_functions import FROM_SOURCE, STREAMED_FROM_SOURCE, Code, Functions, started
from tests.hosts.request_table import STATUS
from tests.hosts.request_tables import TABLE, without_a_line

BUFFERED: tuple[str, ...] = (
    "flow_status",
    "flow_events",
    "crew_launch",
    "crew_amp",
    "cost_report",
    "feedback",
)


def test_no_route_is_without_a_line_of_the_table():
    assert list(map(str, without_a_line(TABLE))) == []


def test_a_route_that_no_line_takes_is_noticed():
    without = [line for line in TABLE if not line.path.startswith("/v1/costs/trials")]
    assert {way.path for way in without_a_line(without)} == {"/v1/costs/trials"}


# Their bundles are made in seconds; the others run from this tree here, and from theirs in the long run.
LIGHT = ("flow_status", "flow_events", "crew_launch")
GATEWAYS = {
    "an HTTP API": Gateway(),
    "its stage": Gateway(stage="prod"),
    "its custom domain with a base path": Gateway(base=seeds.BASE),
    "a stage of a REST API": Gateway(rest=True, stage="prod"),
    "its custom domain with a base path, REST": Gateway(rest=True, base=seeds.BASE),
}
every_gateway = pytest.mark.parametrize("gateway_kind", GATEWAYS)


@pytest.fixture(scope="module")
def on_lambda(
    place: Place, of_bundles: Callable[[str], Code], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Functions]:
    codes = {name: of_bundles(name) if name in LIGHT else FROM_SOURCE for name in BUFFERED}
    with started(BUFFERED, codes, place.settings, tmp_path_factory.mktemp("home")) as functions:
        yield functions


def lines_of(functions: Collection[str]) -> list[Line]:
    return [line for line in TABLE if line.function in functions]


@every_gateway
def test_on_lambda_every_request_is_answered_as_by_the_dev_host(
    place: Place, on_lambda: Functions, of_the_dev_host: dict[str, Answer], gateway_kind: str
):
    host = OnLambda(on_lambda.invoke, GATEWAYS[gateway_kind])
    table = lines_of(BUFFERED)
    assert differences(of_the_dev_host, place.answers(host, table), table, host) == []


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_so_it_is_by_functions_that_run_from_their_bundles_alone(
    place: Place,
    of_bundles: Callable[[str], Code],
    of_the_dev_host: dict[str, Answer],
    tmp_path: Path,
):
    codes, table = {name: of_bundles(name) for name in BUFFERED}, lines_of(BUFFERED)
    with started(BUFFERED, codes, place.settings, tmp_path) as functions:
        host = OnLambda(functions.invoke)
        assert differences(of_the_dev_host, place.answers(host, table), table, host) == []


STREAMED = (*BUFFERED, "crew_agui")


@pytest.fixture(scope="module")
def streamed(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Functions]:
    codes = dict.fromkeys(STREAMED, STREAMED_FROM_SOURCE)
    with started(STREAMED, codes, place.settings, tmp_path_factory.mktemp("home")) as functions:
        yield functions


@pytest.mark.parametrize("gateway_kind", [name for name, kind in GATEWAYS.items() if kind.rest])
def test_so_it_is_on_lambda_where_answers_stream(
    place: Place, streamed: Functions, of_the_dev_host: dict[str, Answer], gateway_kind: str
):
    host = StreamedOnLambda(streamed.stream, GATEWAYS[gateway_kind])
    assert differences(of_the_dev_host, place.answers(host), TABLE, host) == []


@pytest.fixture(scope="session")
def emulator_binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return emulator.install(tmp_path_factory.mktemp("emulator"))
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the wheel of aws-sam-cli cannot be had: {error}")


def test_so_it_is_under_lambdas_own_emulator(
    place: Place, emulator_binary: Path, of_bundles: Callable[[str], Code],
    of_the_dev_host: dict[str, Answer], tmp_path: Path,
):  # fmt: skip
    code = of_bundles("flow_status")
    with emulator.emulated(emulator_binary, "flow_status", code, place.settings, tmp_path) as url:
        host = OnLambda(lambda _, event: emulator.invoke(url, event))
        assert differences(of_the_dev_host, place.answers(host, STATUS), STATUS, host) == []


@pytest.mark.soak
@pytest.mark.timeout(300)
def test_all_functions_are_under_it(
    place: Place, emulator_binary: Path, of_the_dev_host: dict[str, Answer], tmp_path: Path
):
    table = lines_of(BUFFERED)
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(
                emulator.emulated(emulator_binary, name, FROM_SOURCE, place.settings, tmp_path)
            )
            for name in BUFFERED
        }
        host = OnLambda(lambda name, event: emulator.invoke(urls[name], event))
        assert differences(of_the_dev_host, place.answers(host, table), table, host) == []
