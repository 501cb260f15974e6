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


FIGURES = {
    "deploy-aws": ("AWS Lambda", "the same, polled"),
    "deploy-vercel": ("Vercel", "Vercel and QStash"),
    "deploy-container": ("container",),
}


def bills(page: str) -> dict[tuple[str, str], str]:
    """Return the dollars of a page's tables, by what is paid for (1,000 viewers) and the column."""
    text = (DOCS / f"{page}.md").read_text("utf-8").replace("**", "")
    found = dict[tuple[str, str], str]()
    for table in re.findall(r"(?:^\|.+\n)+", text, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()
        )
        for what, *cells in rows:
            if paid := re.match(r"[\d,]+ (?:viewers|flows)", what):
                found |= {
                    (paid[0], column): cell for column, cell in zip(head[1:], cells, strict=True)
                }
    return found


@pytest.mark.parametrize("page", FIGURES)
def test_a_page_on_deploying_has_the_bills_that_docs_performance_has(page: str):
    reckoned, told = bills("performance"), bills(page)
    assert {what for what, _ in told} == {
        "1,000 viewers",
        "10,000 viewers",
        "1,000 flows",
        "100,000 flows",
    }
    for (what, _), dollars in told.items():
        wanted = [reckoned[what, column] for column in FIGURES[page] if (what, column) in reckoned]
        assert dollars == "; ".join(wanted)
