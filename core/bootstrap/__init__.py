"""Composition root: the one place that picks adapters.

Each provider runs at most once per process, so a warm invocation reuses clients. Imports sit
inside providers on purpose: a function pays at cold start only for what it asks for. What keeps
things is in `stores`; here is what works on them.
"""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from core.bootstrap.models import (
    deployed_model,
    deployed_models,
    is_offline,
    may_choose,
    model,
    model_names,
    named_model,
    require_model,
    spelled,
    telemetry,
)
from core.bootstrap.provider import is_made, provider, replace
from core.bootstrap.stores import (
    agreed_prices,
    blobs,
    budgets,
    call_ledger,
    feedback_log,
    flow_log,
    hub,
    issuer,
    journals,
    keys,
    keyspace,
    learners,
    learning_blobs,
    ledger,
    model_store,
    operator_ledger,
    redis,
    seal_keys,
    settings,
    spending_log,
    store_check,
    stream_limiter,
    trials,
    usage_book,
    values,
)
from core.bootstrap.webhooks import (
    outbox,
    webhook_dispatcher,
    webhook_sender,
    webhook_signer,
    webhook_targets,
)

if TYPE_CHECKING:
    from core.costs.prices import PriceBook
    from core.crews.clock import Clock
    from core.crews.control import FlowControl
    from core.crews.crew_runner import CrewRunner
    from core.crews.definition import Registry
    from core.crews.launch import Launcher
    from core.crews.lessons import Lessons
    from core.crews.wakeups import WakeListener, WakeQueue, WakeVerifier
    from core.crews.worker import Worker
    from core.learning.retraining import Retrainer

__all__ = [
    "agreed_prices",
    "blobs",
    "budgets",
    "call_ledger",
    "deployed_model",
    "deployed_models",
    "feedback_log",
    "flow_control",
    "flow_log",
    "hub",
    "is_made",
    "is_offline",
    "issuer",
    "journals",
    "keys",
    "keyspace",
    "launcher",
    "learners",
    "learning_blobs",
    "ledger",
    "lessons",
    "may_choose",
    "model_names",
    "model_store",
    "operator_ledger",
    "outbox",
    "prices",
    "redis",
    "registry",
    "replace",
    "require_model",
    "retrainer",
    "runner",
    "seal_keys",
    "settings",
    "spelled",
    "spending_log",
    "store_check",
    "stream_limiter",
    "telemetry",
    "trials",
    "usage_book",
    "values",
    "wake_listener",
    "wake_queue",
    "wake_verifier",
    "webhook_dispatcher",
    "webhook_sender",
    "webhook_signer",
    "webhook_targets",
    "worker",
]


@provider
def wake_queue() -> "WakeQueue":
    """Return what wake-ups are sent by: the queue of the settings, or the due set, which one polls."""
    chosen = settings()
    if chosen.queue_url is not None:
        from core.adapters.sqs import SqsWakeQueue

        return SqsWakeQueue(chosen.queue_url, chosen.queue_endpoint)
    if (qstash := chosen.qstash) is not None:
        from core.adapters.qstash import QStashWakeQueue

        return QStashWakeQueue(qstash.url, qstash.token, qstash.worker_url)
    from core.adapters.upstash.wake import RedisWakeQueue

    return RedisWakeQueue(redis())


@provider
def wake_listener() -> "WakeListener":
    """Return what a worker that polls the due set hears wake-ups by."""
    from core.adapters.upstash.http import HttpPubSub
    from core.adapters.upstash.wake import RedisWakeListener

    return RedisWakeListener(HttpPubSub(settings().redis_url, settings().redis_token))


@provider
def wake_verifier() -> "WakeVerifier | None":
    """Return what checks wake-ups that come over HTTP; None where none do."""
    if (qstash := settings().qstash) is None:
        return None
    from core.adapters.qstash import QStashVerifier

    return QStashVerifier(qstash.signing_keys)


@provider
def registry() -> "Registry":
    """Return the crews of this deployment."""
    from core.crews.definition import Registry

    return Registry(Path(__file__).parents[2] / "crews")


def launcher() -> "Launcher":
    """Return what launches crews, over the parts that are in place now."""
    from core.crews.launch import Launcher

    return Launcher(ledger(), wake_queue(), registry(), blobs)


def flow_control() -> "FlowControl":
    """Return what cancels, answers and deletes flows, over the parts that are in place now."""
    from core.crews.control import FlowControl

    return FlowControl(ledger(), wake_queue())


@provider
def prices() -> "PriceBook":
    """Return what calls cost. Its catalogues take a second to load."""
    from core.adapters.price_catalogues import CataloguePriceBook

    return CataloguePriceBook()


@provider
def runner() -> "CrewRunner":
    """Return CrewAI with the model of the settings. Takes seconds to load."""
    from core.adapters.crewai.environ import prepare_environ

    told = telemetry()  # first: what CrewAI finds in the environment turns OpenTelemetry off
    home = os.environ.get("HOME", "")
    prepare_environ(os.environ, home if os.access(home, os.W_OK) else tempfile.mkdtemp())
    from core.adapters.crewai.runner import CrewAIRunner
    from crews.loading import load_project_tools
    from crews.tools import GUARDRAILS, TOOLS

    addresses = {each for crew in registry().read_all()[0] for each in crew.project_tools()}
    return CrewAIRunner(
        model(),
        {**TOOLS, **load_project_tools(addresses)},
        GUARDRAILS,
        prices(),
        blobs(),
        tool_seconds=settings().tool_timeout_seconds,
        named_model=None if settings().model is None else named_model,
        telemetry=told,
    )


@provider
def lessons() -> "Lessons":
    """Return what crews learn and are told; nothing where there is no key for models."""
    from core.crews.lessons import Lessons
    from crews.deciders import DECIDERS

    if not settings().learning_keys:
        return Lessons(None, DECIDERS)
    return Lessons(learners(), DECIDERS)


@provider
def worker() -> "Worker":
    """Return what takes flows forward."""
    from core.crews.step_runner import StepRunner
    from core.crews.timing import Timing
    from core.crews.worker import Worker

    chosen = settings()
    timing = Timing(chosen.lease_seconds, chosen.beat_seconds, chosen.step_seconds)
    deps = ledger(), call_ledger(), runner(), timing, values(), lessons(), journals()
    steps = StepRunner(*deps, usage_book=usage_book(), deployed_model=deployed_model())
    return Worker(ledger(), wake_queue(), steps, values())


def retrainer(clock: "Clock") -> "Retrainer":
    """Return what makes models, for as long as a clock says. Takes seconds to load.

    Raises SettingsError where there is no key for models.
    """
    from core.learning.retraining import Retrainer
    from core.time_of_day import now_ms

    store = model_store()
    from core.adapters.scikit_learn import block_learner, indexed

    return Retrainer(store, feedback_log(), indexed, clock.seconds_left, now_ms, block_learner)
