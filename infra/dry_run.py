"""A crew on the offline model in this process: no flow, no store, no money; its steps in order."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.adapters.crewai.environ import prepare_environ
from core.costs.facts import NO_FACTS, Facts
from core.costs.usage import Usage
from core.crews import strategies
from core.crews.crew_runner import CrewRunner, StepTask
from core.crews.definition import Definition, Registry
from core.crews.journal import NoJournals, StepJournal
from core.crews.ledger import Claim
from core.crews.strategies import Ready, Wait
from core.flows.events import Event
from core.flows.values import INLINE

CREWS = Path(__file__).parent.parent / "crews"


class NullSession:
    """A Session that drops all events, charges nothing and keeps no journal."""

    def __init__(self, step: str) -> None:
        claim = Claim("t", "f", step, 1)
        self.journal = StepJournal(NoJournals(), INLINE, claim, "dry", {})

    def post(self, told: list[Event]) -> None: ...

    def message_id(self) -> str:
        return "message"

    def reserve(
        self,
        model: str,
        bound: Usage,
        *,
        least_nanodollars: int | None = None,
        prices_version: int = 0,
    ) -> str:
        del model, bound, least_nanodollars, prices_version
        return "call"

    def settle(
        self, call: str, usage: Usage, told: list[Event], facts: Facts = NO_FACTS
    ) -> None: ...


async def dry_run(
    crew: str, inputs: Mapping[str, Any], files: Mapping[str, bytes]
) -> tuple[dict[str, Any], Any]:
    """Run a crew; return its results by step, and its output. A person approves every draft.

    `files` are uploaded inputs by id.
    """
    return await run_crew(Registry(CREWS).get(crew), inputs, _runner(files))


async def run_crew(
    crew_file: Definition, inputs: Mapping[str, Any], runner: CrewRunner
) -> tuple[dict[str, Any], Any]:
    """Run a crew on any runner, as `dry_run` does."""
    whole, results = crew_file.with_defaults(dict(inputs)), dict[str, Any]()
    definition = crew_file.filled(whole)
    tasks = strategies.TaskGraph(definition)
    while True:
        match tasks.next_action(results):
            case Ready(steps):
                for step in steps:
                    prompt = tasks.prompt(results, step.id)
                    work = StepTask("t", "f", definition, prompt, 1, whole)
                    results[step.id] = await runner.run(work, NullSession(step.id))
            case Wait(name):
                results[name] = strategies.review_answer(approve=True, feedback="")
            case strategies.End(output):
                return results, output


def _runner(files: Mapping[str, bytes]) -> CrewRunner:
    prepare_environ(os.environ, os.environ.get("HOME") or tempfile.mkdtemp())
    from core.adapters.crewai.runner import CrewAIRunner  # noqa: PLC0415 -- the environment first
    from core.adapters.memory import MemoryBlobs  # noqa: PLC0415
    from core.adapters.offline.model import OfflineModel  # noqa: PLC0415
    from core.adapters.price_catalogues import CataloguePriceBook  # noqa: PLC0415
    from crews.tools import GUARDRAILS, SKILLS, TOOLS  # noqa: PLC0415

    blobs = MemoryBlobs()
    for name, data in files.items():
        blobs.put("t", name, data, "application/octet-stream")
    return CrewAIRunner(
        lambda: OfflineModel(SKILLS), TOOLS, GUARDRAILS, CataloguePriceBook(), blobs
    )
