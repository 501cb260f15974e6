"""Every end-to-end test has a house of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.apps import House, opened


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with opened(tmp_path, stream_seconds=2.0) as house:
        yield house
