"""Vercel's own Python runtime, with what `vercel build` has made, answers as the dev host does."""

import os
from pathlib import Path

import pytest

from tests.hosts import vercel_build
from tests.hosts.asking import Answer, Sent, differences
from tests.hosts.conftest import Place
from tests.hosts.host_kinds import OverHttp
from tests.hosts.request_tables import TABLE
from tests.hosts.test_vercel import destination

HTTP = (
    "flow_status",
    "flow_events",
    "crew_launch",
    "crew_amp",
    "crew_agui",
    "cost_report",
    "feedback",
)


@pytest.mark.timeout(vercel_build.INSTALL_SECONDS + vercel_build.BUILD_SECONDS)
def test_on_vercel_every_request_is_answered_as_by_the_dev_host(
    place: Place, built: Path, of_the_dev_host: dict[str, Answer], tmp_path: Path
):
    environ = vercel_build.with_tools({"PATH": os.environ["PATH"]}) | place.settings
    with vercel_build.running(built, HTTP, tmp_path, environ) as addresses:

        def address(sent: Sent) -> str:
            return addresses[
                destination(sent.method, sent.path.partition("?")[0]).removeprefix("/api/")
            ]

        host = OverHttp(address)
        assert differences(of_the_dev_host, place.answers(host), TABLE, host) == []
