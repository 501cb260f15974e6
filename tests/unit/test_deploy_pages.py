"""The pages on deploying: each variable that they name is a setting, by docs/settings.md."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"\b(?:CREWLINE|UPSTASH|QSTASH|CRON)_[A-Z_]*[A-Z]\b")


@pytest.mark.parametrize("page", sorted(DOCS.glob("deploy-*.md")), ids=lambda page: page.stem)
def test_a_variable_that_a_page_on_deploying_names_is_a_setting(page: Path):
    named = set(NAME.findall(page.read_text("utf-8")))
    assert named
    assert named <= set(NAME.findall((DOCS / "settings.md").read_text("utf-8")))
