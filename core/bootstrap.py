"""Composition root: the one place that picks adapters.

Each provider runs at most once per process, so a warm invocation reuses clients. Imports sit
inside providers on purpose: a function pays at cold start only for what it asks for.
"""

import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from crewai.llms.base_llm import BaseLLM

    from core.adapters.upstash.commands import Commands
    from core.adapters.upstash.keys import Keyspace
    from core.adapters.upstash.partitions import PartitionCheck
    from core.blobs import BlobStore
    from core.config import Settings
    from core.costs.prices import PriceBook
    from core.costs.recording import UsageBook
    from core.crews.budgets import BudgetBook, Budgets
    from core.crews.crew_runner import CrewRunner
    from core.crews.definition import Registry
    from core.crews.launch import Launcher
    from core.crews.ledger import RunLedger
    from core.crews.wakeups import WakeListener, WakeQueue, WakeVerifier
    from core.crews.worker import Worker
    from core.flows import FlowLog
    from core.flows.live import Hub
    from core.flows.values import LargeValues
    from core.identity import Keys
    from core.webhooks.dispatcher import WebhookDispatcher
    from core.webhooks.events import Render
    from core.webhooks.outbox import Outbox
    from core.webhooks.sender import WebhookSender
    from core.webhooks.targets import Targets

T = TypeVar("T")
_providers: set[str] = set()
_replaced: dict[str, Any] = {}


def _provider(make: Callable[[], T]) -> Callable[[], T]:
    """Run `make` once per process, unless `replace` has put another part in its place."""
    cached = cache(make)
    _providers.add(make.__name__)

    @wraps(make)
    def provide() -> T:
        return _replaced[make.__name__] if make.__name__ in _replaced else cached()

    return provide


@contextmanager
def replace(**parts: Any) -> Generator[None]:
    """Put other parts in the place of providers, by name, for the length of a test.

    Raises TypeError for a name that no provider has.
    """
    if unknown := parts.keys() - _providers:
        raise TypeError(f"no provider is called {', '.join(sorted(unknown))}")
    before = dict(_replaced)
    _replaced.update(parts)
    try:
        yield
    finally:
        _replaced.clear()
        _replaced.update(before)


@_provider
def settings() -> "Settings":
    """Return the settings of this process. Raises SettingsError."""
    from core.config import Settings

    return Settings.from_environ(os.environ)


@_provider
def keys() -> "Keys":
    """Return the keys that tokens are signed with."""
    from core.identity import Keys

    return Keys(settings().jwt_keys)


@_provider
def redis() -> "Commands":
    """Return Redis: one client for all that a process does, which keeps its sync token."""
    from core.adapters.upstash.batches import BatchedReads
    from core.adapters.upstash.commands import RetryingClient
    from core.adapters.upstash.http import HttpRedis

    client = HttpRedis(settings().redis_url, settings().redis_token)
    return RetryingClient(BatchedReads(client))


@_provider
def keyspace() -> "Keyspace":
    """Return the names of the store's keys."""
    from core.adapters.upstash.keys import Keyspace

    return Keyspace(settings().partitions)


@_provider
def partition_check() -> "PartitionCheck":
    """Return what workers and sweeps ask before their first look for work."""
    from core.adapters.upstash.partitions import PartitionCheck

    return PartitionCheck(redis(), keyspace())


@_provider
def flow_log() -> "FlowLog":
    """Return the log of flows, for polling and following."""
    from core.adapters.upstash.http import HttpPubSub
    from core.adapters.upstash.log import UpstashFlowLog

    pubsub = HttpPubSub(settings().redis_url, settings().redis_token)
    return UpstashFlowLog(redis(), pubsub, keyspace())


@_provider
def hub() -> "Hub":
    """Return the hub of this process, through which flows are watched."""
    from core.flows.live import Hub

    return Hub(flow_log())


@_provider
def ledger() -> "RunLedger":
    """Return the run ledger."""
    from core.adapters.upstash.ledger import UpstashRunLedger

    return UpstashRunLedger(
        redis(),
        settings().flow_ttl_seconds,
        keyspace(),
        max_request_bytes=settings().max_request_bytes,
    )


@_provider
def operator_ledger() -> "RunLedger":
    """Return the run ledger over Upstash's own client, for commands that a person runs."""
    from core.adapters.upstash.commands import RetryingClient
    from core.adapters.upstash.ledger import UpstashRunLedger
    from core.adapters.upstash.sdk import SdkRedis

    client = RetryingClient(SdkRedis(settings().redis_url, settings().redis_token))
    return UpstashRunLedger(client, settings().flow_ttl_seconds, keyspace())


@_provider
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


@_provider
def wake_listener() -> "WakeListener":
    """Return what a worker that polls the due set hears wake-ups by."""
    from core.adapters.upstash.http import HttpPubSub
    from core.adapters.upstash.wake import RedisWakeListener

    return RedisWakeListener(HttpPubSub(settings().redis_url, settings().redis_token))


@_provider
def wake_verifier() -> "WakeVerifier | None":
    """Return what checks wake-ups that come over HTTP; None where none do."""
    if (qstash := settings().qstash) is None:
        return None
    from core.adapters.qstash import QStashVerifier

    return QStashVerifier(qstash.signing_keys)


@_provider
def blobs() -> "BlobStore":
    """Return the object store."""
    from core.adapters.s3 import S3Blobs

    return S3Blobs(settings().bucket, settings().s3_endpoint)


@_provider
def values() -> "LargeValues":
    """Return what keeps large values of flows in the object store."""
    from core.flows.values import LargeValues

    return LargeValues(blobs)


@_provider
def registry() -> "Registry":
    """Return the crews of this deployment."""
    from core.crews.definition import AllowList, Registry
    from crews.allow_list import GUARDRAILS, TOOLS

    allowed = AllowList(TOOLS.keys(), GUARDRAILS.keys())
    return Registry(Path(__file__).parent.parent / "crews", allowed)


def launcher() -> "Launcher":
    """Return what launches crews, over the parts that are in place now."""
    from core.crews.launch import Launcher

    return Launcher(ledger(), wake_queue(), registry(), blobs)


@_provider
def prices() -> "PriceBook":
    """Return what calls cost. Its catalogues take a second to load."""
    from core.adapters.price_catalogues import CataloguePriceBook

    return CataloguePriceBook()


@_provider
def usage_book() -> "UsageBook":
    """Return what counts calls that were made elsewhere."""
    from core.adapters.upstash.usage import UpstashUsageBook

    return UpstashUsageBook(redis(), keyspace())


@_provider
def runner() -> "CrewRunner":
    """Return CrewAI with the model of the settings. Takes seconds to load."""
    from core.adapters.crewai.environ import prepare_environ

    home = os.environ.get("HOME", "")
    prepare_environ(os.environ, home if os.access(home, os.W_OK) else tempfile.mkdtemp())
    from core.adapters.crewai.runner import CrewAIRunner
    from crews.tools import GUARDRAILS, TOOLS

    return CrewAIRunner(
        _model(),
        TOOLS,
        GUARDRAILS,
        prices(),
        blobs(),
        tool_seconds=settings().tool_timeout_seconds,
    )


def _model() -> "Callable[[], BaseLLM]":
    """Return what makes a model for each step: the one of the settings, or the offline one."""
    from core.config import SettingsError

    chosen = settings()
    if chosen.model is None:
        if not chosen.offline_model:
            raise SettingsError(
                "CREWLINE_MODEL is not set: name a model, or write offline for the one that is made up"
            )
        from core.adapters.offline_model import OfflineModel
        from crews.tools import SKILLS

        return lambda: OfflineModel(SKILLS, stream=True)
    from core.adapters.crewai.models import checked, model_from

    return checked(
        model_from(
            chosen.model,
            chosen.model_base_url,
            chosen.model_api_key,
            chosen.model_timeout_seconds,
            streams=chosen.model_streams,
        )
    )


@_provider
def budget_book() -> "BudgetBook":
    """Return what holds and counts the money of model calls."""
    from core.adapters.upstash.budgets import UpstashBudgetBook
    from core.adapters.upstash.http import HttpPubSub

    pubsub = HttpPubSub(settings().redis_url, settings().redis_token)
    return UpstashBudgetBook(redis(), keyspace(), pubsub=pubsub)


@_provider
def budgets() -> "Budgets":
    """Return the budgets of tenants."""
    from core.adapters.upstash.budget_store import UpstashBudgets

    return UpstashBudgets(redis(), keyspace())


@_provider
def worker() -> "Worker":
    """Return what takes flows forward."""
    from core.crews.lessons import NoLessons
    from core.crews.step_runner import StepRunner
    from core.crews.timing import Timing
    from core.crews.worker import Worker

    chosen = settings()
    timing = Timing(chosen.lease_seconds, chosen.beat_seconds, chosen.step_seconds)
    steps = StepRunner(ledger(), budget_book(), runner(), NoLessons(), timing, values())
    return Worker(ledger(), wake_queue(), steps, values())


@_provider
def webhook_targets() -> "Targets":
    """Return where each tenant's webhooks may go."""
    from core.webhooks.targets import Targets

    return Targets(settings().webhook_hosts)


@_provider
def outbox() -> "Outbox":
    """Return the flows of which webhooks are still to be sent."""
    from core.adapters.upstash.outbox import UpstashOutbox

    return UpstashOutbox(redis(), keyspace())


@_provider
def webhook_sender() -> "WebhookSender":
    """Return what sends one webhook."""
    from core.adapters.http_webhooks import HttpWebhookSender

    return HttpWebhookSender()


def webhook_dispatcher(render: "Render") -> "WebhookDispatcher":
    """Return what sends webhooks, with the bodies that `render` makes of notifications."""
    from core.webhooks.dispatcher import WebhookDispatcher
    from core.webhooks.entry import Parts
    from core.webhooks.signing import Signer

    signer = Signer(settings().webhook_secrets)
    sender, targets = webhook_sender(), webhook_targets()
    return WebhookDispatcher(
        Parts(outbox(), flow_log(), sender, targets, signer, render, values=values())
    )
