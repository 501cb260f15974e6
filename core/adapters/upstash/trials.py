"""Trials over Redis: what the tenant chose, and what came of trials. Changing either is one script."""

import json
from collections.abc import Sequence
from typing import Any

from core.adapters.upstash import records
from core.adapters.upstash.calls import ScriptRunner
from core.adapters.upstash.commands import Commands, read
from core.adapters.upstash.keys import Keyspace
from core.adapters.upstash.script_keys import FlowKeys, TrialKeys
from core.adapters.upstash.scripts import trials as scripts
from core.costs.model_choices import MOST_TRIALS, Override, TaskOutcome, Trial
from core.costs.trials import Arm, Comparison, Evidence, Signal, Tally, Verdict
from core.crews.trials import CHANGED
from core.errors import ConflictError, NotFoundError


class UpstashTrials:
    """The trials of tenants, in two hashes that running flows change as well."""

    def __init__(
        self, redis: Commands, keys: Keyspace | None = None, runner: ScriptRunner | None = None
    ) -> None:
        self._redis, self._keys = redis, keys or Keyspace()
        self._runner = runner or ScriptRunner(redis)

    async def overrides(self, tenant: str) -> list[Override]:
        """Return what the tenant chose."""
        found = await self._all(TrialKeys.of(self._keys, tenant).models)
        return [_override(field, json.loads(text)) for field, text in sorted(found.items())]

    async def choose(self, tenant: str, crew: str, task: str, model: str | None) -> None:
        """Choose a model, or none."""
        models = TrialKeys.of(self._keys, tenant).models
        call = scripts.choose_model(models, field=f"{crew}|{task}", model=model)
        _refuse_second(await self._runner.run(call))

    async def start(self, tenant: str, trial: Trial, chosen: str | None = None) -> Trial:
        """Begin a trial."""
        of = TrialKeys.of(self._keys, tenant)
        call = scripts.start_trial(of, trial=_terms(trial), chosen=chosen, most=MOST_TRIALS)
        reply = await self._runner.run(call)
        _refuse_second(reply)
        if reply[0] == "changed":
            raise ConflictError(CHANGED)
        return _trial(reply[1])

    async def stop(self, tenant: str, trial: str) -> Trial:
        """End a trial."""
        call = scripts.stop_trial(TrialKeys.of(self._keys, tenant), trial=trial)
        verdict, *stored = await self._runner.run(call)
        if verdict == "not_found":
            raise NotFoundError(f"no trial {trial}")
        return _trial(stored[0])

    async def all(self, tenant: str) -> list[Trial]:
        """Return the trials that are kept."""
        found = await self._all(TrialKeys.of(self._keys, tenant).trials)
        return sorted(map(_trial, found.values()), key=lambda each: -each.started_ms)

    async def record(self, tenant: str, flow: str, outcomes: Sequence[TaskOutcome]) -> None:
        """Count outcomes."""
        of, of_trials = FlowKeys.of(self._keys, tenant, flow), TrialKeys.of(self._keys, tenant)
        counted = [records.outcome(each) for each in outcomes]
        script = scripts.record_outcomes(of, of_trials, outcomes=counted)
        (verdict,) = await self._runner.run(script)
        if verdict == "not_found":
            raise NotFoundError(f"no flow {flow}")

    async def _all(self, key: str) -> dict[str, str]:
        return records.as_dict(await read(self._redis, ["HGETALL", key], fresh=True))


def _refuse_second(reply: list[str]) -> None:
    if reply[0] == "conflict":
        raise ConflictError(f"the trial {reply[1]} runs there: stop it first")


def _override(field: str, stored: dict[str, Any]) -> Override:
    crew, task = field.split("|")
    return Override(crew, task, stored.get("model"), stored.get("trial", {}).get("id"))


def _terms(trial: Trial) -> dict[str, Any]:
    """Return what is stored of a trial that begins."""
    return {
        "id": trial.id,
        "run": trial.run,
        "crew": trial.crew,
        "task": trial.task,
        "model": trial.model,
        "cheaper": trial.cheaper,
        "share": trial.share,
        "margin": trial.evidence.margin,
        "most": trial.evidence.most,
        "judged_by": trial.evidence.judged_by,
    }


def _trial(text: str) -> Trial:
    stored: dict[str, Any] = json.loads(text)
    signals = _comparison(stored["answers"]), _comparison(stored["people"])
    judge = Signal(stored.get("judged_by", Signal.ANSWERS))
    verdict = stored.get("verdict")
    return Trial(
        id=stored["id"],
        run=stored["run"],
        crew=stored["crew"],
        task=stored["task"],
        model=stored["model"],
        cheaper=stored["cheaper"],
        share=stored["share"],
        evidence=Evidence(stored["margin"], stored["most"], *signals, judge),
        started_ms=stored["started"],
        ended_ms=stored.get("ended"),
        verdict=None if verdict is None else Verdict(verdict),
        changed_to=stored.get("changed_to"),
    )


def _comparison(stored: dict[str, Any]) -> Comparison:
    ahead = stored.get("ahead")
    return Comparison(
        in_use=Tally(**stored[Arm.IN_USE]),
        cheaper=Tally(**stored[Arm.CHEAPER]),
        ahead=None if ahead is None else Arm(ahead),
        waiting=tuple(stored["waiting"]),
        against_equal=tuple(stored["equal"]),
        against_worse=tuple(stored["worse"]),
    )
