"""The examples of docs/crews.md are a crew that runs."""

import re
from pathlib import Path
from typing import Any

import pytest

from core.adapters.crewai.runner import CrewAIRunner
from core.adapters.crewai.stop_signal import StopSignal
from core.adapters.crewai.threads import in_thread
from core.adapters.crewai.tools import StepContext, ToolBounds, bind
from core.adapters.memory import MemoryBlobs
from core.adapters.offline.model import OfflineModel
from core.adapters.price_catalogues import CataloguePriceBook
from core.crews.crew_runner import StepFailedError
from infra.crews import parse
from infra.crews.file_rules import AllowList
from infra.dry_run import run_crew

PAGE = Path("docs/crews.md").read_text("utf-8")


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    """What the page's Python defines."""
    defined: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, defined)  # noqa: S102 -- our own page
    return defined


def crew(names: dict[str, Any]):
    return parse(PAGE.partition("```yaml\n")[2].partition("```")[0], allowed(names))


def allowed(names: dict[str, Any]) -> AllowList:
    return AllowList(names["TOOLS"], names["GUARDRAILS"])


def runner(names: dict[str, Any], *skills: Any) -> CrewAIRunner:
    guardrails = {name: names[name] for name in names["GUARDRAILS"]}
    prices, blobs = CataloguePriceBook(), MemoryBlobs()
    return CrewAIRunner(lambda: OfflineModel(skills), {}, guardrails, prices, blobs)


async def test_the_crew_runs_with_its_guardrail_and_its_skill(names: dict[str, Any]):
    results, output = await run_crew(
        crew(names), {"topic": "the ferry"}, runner(names, names["write_letter"])
    )
    assert results["draft"]["raw"] == "Dear reader, this letter is on the ferry. Yours, W."
    assert "the ferry" in output


async def test_the_guardrail_refuses_a_letter_on_something_else(names: dict[str, Any]):
    offline = runner(names, lambda _: "Dear reader, nothing is on my mind.")
    with pytest.raises(StepFailedError, match="the letter does not name the ferry"):
        await run_crew(crew(names), {"topic": "the ferry"}, offline)


def test_the_tool_reads_an_input_and_tells_the_user(names: dict[str, Any]):
    blobs, told = MemoryBlobs(), list[str]()
    blobs.put("t", "in_" + "0" * 32, b"one\ntwo\n", "text/plain")
    tools = {"count_lines": names["count_lines"]}
    signal, ids = StopSignal(), frozenset(["in_" + "0" * 32])
    context = StepContext(blobs, "t", ids, told.append, signal)
    tool = bind(["count_lines"], tools, context, ToolBounds(signal, 10, in_thread))[0]
    assert tool.run(file="in_" + "0" * 32) == "2 lines"
    assert told == ["The text has 2 lines."]


def test_what_the_page_lists_is_where_it_says(names: dict[str, Any]):
    files = set(re.findall(r"# crews/letter/(\w+)\.py", PAGE))
    for listed in (names["TOOLS"], names["GUARDRAILS"]):
        for name, address in listed.items():
            module, _, function = address.partition(":")
            assert (function, module.removeprefix("crews.letter.") in files) == (name, True)
