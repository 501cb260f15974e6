"""Settings, and the parts in which all that lasts is kept: the store, the log, the ledger, the objects."""

import os
from typing import TYPE_CHECKING

from core.bootstrap.provider import provider

if TYPE_CHECKING:
    from core.adapters.upstash.calls import ScriptRunner
    from core.adapters.upstash.commands import Commands
    from core.adapters.upstash.keys import Keyspace
    from core.adapters.upstash.store_check import StoreCheck
    from core.blobs import BlobStore
    from core.config import Settings
    from core.costs.budget import Budgets
    from core.costs.recording import UsageBook
    from core.costs.spending_log import SpendingLog
    from core.costs.tenant_prices import AgreedPrices
    from core.crews.call_ledger import CallLedger
    from core.crews.journal import Journals
    from core.crews.ledger import RunLedger
    from core.crews.trials import Trials
    from core.flows import FlowLog
    from core.flows.hub import Hub
    from core.flows.stream_limiter import StreamLimiter
    from core.flows.values import LargeValues
    from core.identity import Keys
    from core.issuer import Issuer
    from core.learning.feedback import FeedbackLog
    from core.learning.models.model_store import ModelStore
    from core.learning.models.seals import SealKeys
    from core.learning.serving import Learners


@provider
def settings() -> "Settings":
    """Return the settings of this process. Raises SettingsError."""
    from core.config import Settings

    return Settings.from_environ(os.environ)


@provider
def keys() -> "Keys":
    """Return the keys that tokens are signed with. Raises SettingsError where there are none."""
    from core.identity import Keys

    return Keys(settings().token_keys())


@provider
def issuer() -> "Issuer | None":
    """Return the OIDC issuer whose tokens are taken beside ours; None where there is none."""
    if (trusted := settings().oidc) is None:
        return None
    from core.adapters.http_jwks import HttpJwks
    from core.issuer import Issuer

    return Issuer(trusted, HttpJwks(trusted.jwks_url))


@provider
def redis() -> "Commands":
    """Return Redis: one client for all that a process does, which keeps its sync token."""
    from core.adapters.upstash.batches import BatchedReads
    from core.adapters.upstash.commands import RetryingClient
    from core.adapters.upstash.http import HttpRedis

    client = HttpRedis(settings().redis_url, settings().redis_token)
    return RetryingClient(BatchedReads(client))


@provider
def keyspace() -> "Keyspace":
    """Return the names of the store's keys."""
    from core.adapters.upstash.keys import Keyspace

    return Keyspace(settings().partitions)


def scripts(client: "Commands") -> "ScriptRunner":
    """Return what runs scripts over a client, in requests that the store takes."""
    from core.adapters.upstash.calls import ScriptRunner

    return ScriptRunner(client, max_bytes=settings().max_request_bytes)


@provider
def store_check() -> "StoreCheck":
    """Return what workers and sweeps ask before their first look for work."""
    from core.adapters.upstash.store_check import StoreCheck

    return StoreCheck(redis(), keyspace(), settings().bucket)


@provider
def flow_log() -> "FlowLog":
    """Return the log of flows, for polling and following."""
    from core.adapters.upstash.http import HttpPubSub
    from core.adapters.upstash.log import UpstashFlowLog

    pubsub = HttpPubSub(settings().redis_url, settings().redis_token)
    return UpstashFlowLog(redis(), pubsub, keyspace())


@provider
def hub() -> "Hub":
    """Return the hub of this process, through which flows are watched."""
    from core.flows.hub import Hub

    return Hub(flow_log())


@provider
def stream_limiter() -> "StreamLimiter":
    """Return what counts the streams of this process, of whichever function they are."""
    from core.flows.stream_limiter import StreamLimiter

    return StreamLimiter(settings().streams_per_subject)


@provider
def ledger() -> "RunLedger":
    """Return the run ledger."""
    from core.adapters.upstash.ledger import UpstashRunLedger

    return UpstashRunLedger(redis(), settings().flow_ttl_seconds, keyspace(), scripts(redis()))


@provider
def journals() -> "Journals":
    """Return the journals of steps."""
    from core.adapters.upstash.journals import UpstashJournals

    return UpstashJournals(redis(), keyspace(), scripts(redis()))


@provider
def operator_ledger() -> "RunLedger":
    """Return the run ledger over Upstash's own client, for commands that a person runs."""
    from core.adapters.upstash.commands import RetryingClient
    from core.adapters.upstash.ledger import UpstashRunLedger
    from core.adapters.upstash.sdk import SdkRedis

    client = RetryingClient(SdkRedis(settings().redis_url, settings().redis_token))
    return UpstashRunLedger(client, settings().flow_ttl_seconds, keyspace(), scripts(client))


@provider
def call_ledger() -> "CallLedger":
    """Return what holds and counts the money of model calls."""
    from core.adapters.upstash.call_ledger import UpstashCallLedger
    from core.adapters.upstash.http import HttpPubSub

    pubsub = HttpPubSub(settings().redis_url, settings().redis_token)
    return UpstashCallLedger(redis(), keyspace(), scripts(redis()), pubsub=pubsub)


@provider
def budgets() -> "Budgets":
    """Return the budgets of tenants."""
    from core.adapters.upstash.budgets import UpstashBudgets

    return UpstashBudgets(redis(), keyspace(), scripts(redis()))


@provider
def agreed_prices() -> "AgreedPrices":
    """Return the prices that tenants agreed on with providers."""
    from core.adapters.upstash.agreed_prices import UpstashAgreedPrices

    return UpstashAgreedPrices(redis(), keyspace(), scripts(redis()))


@provider
def spending_log() -> "SpendingLog":
    """Return what tenants have spent."""
    from core.adapters.upstash.spending_log import UpstashSpendingLog

    return UpstashSpendingLog(redis(), keyspace())


@provider
def trials() -> "Trials":
    """Return the models that tenants chose for tasks, and the trials of others."""
    from core.adapters.upstash.trials import UpstashTrials

    return UpstashTrials(redis(), keyspace(), scripts(redis()))


@provider
def usage_book() -> "UsageBook":
    """Return what counts calls that were made elsewhere."""
    from core.adapters.upstash.usage import UpstashUsageBook

    return UpstashUsageBook(redis(), keyspace(), scripts(redis()))


@provider
def blobs() -> "BlobStore":
    """Return the object store."""
    from core.adapters.s3 import S3Blobs

    return S3Blobs(settings().bucket, settings().s3_endpoint)


@provider
def values() -> "LargeValues":
    """Return what keeps large values of flows in the object store."""
    from core.flows.values import LargeValues

    return LargeValues(blobs)


@provider
def learning_blobs() -> "BlobStore":
    """Return the object store of models and kept feedback."""
    from core.adapters.s3 import S3Blobs

    return S3Blobs(settings().learning_bucket or settings().bucket, settings().s3_endpoint)


@provider
def seal_keys() -> "SealKeys":
    """Return what models and feedback are sealed with. Raises SettingsError where there is no key."""
    from core.config import SettingsError
    from core.learning.models.seals import SealKeys

    if not settings().learning_keys:
        raise SettingsError(
            "CREWLINE_LEARNING_KEYS is not set: nothing can be learnt without a key for its models"
        )
    return SealKeys(settings().learning_keys)


@provider
def model_store() -> "ModelStore":
    """Return what keeps models and feedback. Raises SettingsError where there is no key to seal them."""
    from core.learning.models.model_store import ModelStore

    return ModelStore(learning_blobs, seal_keys())


@provider
def feedback_log() -> "FeedbackLog":
    """Return the feedback that is in no segment yet."""
    from core.adapters.upstash.feedback import UpstashFeedbackLog

    return UpstashFeedbackLog(redis(), keyspace(), scripts(redis()))


@provider
def learners() -> "Learners":
    """Return the learners of this process. Raises SettingsError where there is no key for models."""
    from core.learning.serving import Learners

    return Learners(model_store(), feedback_log())
