"""Every end-to-end test has an app of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.apps import App, opened


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with opened(tmp_path, stream_seconds=2.0) as app:
        yield app
