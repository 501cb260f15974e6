"""Every setting of a deployment: its variable, its default, the least it may be, what it is for."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from core.config import readers
from core.config.oidc import Oidc, read_oidc
from core.config.queues import QStash, read_qstash
from core.config.variables import (
    SettingsError,
    check_addresses,
    check_names,
    given,
    read_all,
    seconds,
    switch,
    text,
    value,
    whole,
)

REQUEST_FLOOR = 512_000  # bytes: twice what a write of events gathers, and the launch
STREAMS_FLOOR = 20  # a single stream may have so many flows
FLOW_TTL_FLOOR_SECONDS = 3600  # of an ended flow: readers must have the time to see its end
HOST_VARIABLES = (  # read by `infra`
    "CREWLINE_DATA", "CREWLINE_HOST", "CREWLINE_PORT", "CREWLINE_TLS_CERTIFICATE", "CREWLINE_TLS_KEY",
)  # fmt: skip
WORKER_MARGIN_SECONDS = 5.0  # of an invocation, for the last commit and the hand-over


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. Times are in seconds, sizes in bytes."""

    # What belongs together in a declaration stands in one line.
    # fmt: off

    redis_url: str = text(
        "UPSTASH_REDIS_REST_URL", "Redis over HTTP", required=True, is_address=True, shown="a local Valkey"
    )
    redis_token: str = text(
        "UPSTASH_REDIS_REST_TOKEN",
        "its token; the one that may write",
        required=True, secret=True, shown="a local Valkey's",
    )
    jwt_keys: Mapping[str, str] = value(
        readers.jwt_keys,
        "CREWLINE_JWT_KEYS",
        meaning="`kid:secret`, two while they are rotated; secrets of 32 random characters or more. What only a queue"
        " or a schedule calls needs none",
        secret=True,
        shown="a key of this machine",
    )
    bucket: str = text(
        "CREWLINE_BUCKET",
        "the object store, by boto3's credentials; give it [an expiry rule](storage.md)",
        required=True, shown="a local folder",
    )
    s3_endpoint: str | None = text(
        "CREWLINE_S3_ENDPOINT", "where the object store is", is_address=True, shown="AWS"
    )
    learning_keys: Mapping[str, str] = value(
        readers.learning_keys,
        "CREWLINE_LEARNING_KEYS",
        meaning="`kid:secret`: what [models and kept feedback](learning.md) are sealed with, two, newer first, while"
        " they are rotated; kids are letters, digits, `-` and `_`",
        default=dict,
        secret=True,
        shown="none: nothing is learnt; local: a key of this machine",
    )
    learning_bucket: str | None = text(
        "CREWLINE_LEARNING_BUCKET",
        "the object store of models and kept feedback: one without an expiry rule",
        shown="`CREWLINE_BUCKET`",
    )
    oidc: Oidc | None = value(read_oidc, default=None)  # noqa: RUF009 -- it makes a field
    model: str | None = value(
        readers.model,
        "CREWLINE_MODEL",
        meaning="`openai/gpt-4o-mini`, ..., or `offline`: made-up answers without a key",
        default=None,
        shown="with `OPENAI_API_KEY` alone `openai/gpt-4o-mini`; else none, local: the offline model",
    )
    offline_model: bool = value(readers.offline_model, default=False)
    model_api_key: str | None = value(
        readers.model_api_key,
        "OPENAI_API_KEY",
        "CREWLINE_MODEL_API_KEY",
        meaning="the model's key; the first is given to OpenAI, or to `CREWLINE_MODEL_BASE_URL`, and"
        " to no other provider; those have variables of their own",
        default=None,
        secret=True,
    )
    model_base_url: str | None = text(
        "CREWLINE_MODEL_BASE_URL",
        "an OpenAI-compatible address; `CREWLINE_MODEL` says which model there, as it must where"
        " OpenAI's client is sent elsewhere by `OPENAI_BASE_URL` or `OPENAI_API_BASE`",
        is_address=True,
    )
    model_streams: bool = switch(
        "CREWLINE_MODEL_STREAM",
        "`on`: the server at that address streams its answers ([docs/crews.md](crews.md)); known"
        " providers always do",
    )
    models: tuple[str, ...] = value(
        readers.models,
        "CREWLINE_MODELS",
        meaning="the models that tenants may choose or try for a task ([docs/costs.md](costs.md#models-of-tasks)), with"
        " commas between",
        default=(),
        shown="those of the provider of `CREWLINE_MODEL`; at a `CREWLINE_MODEL_BASE_URL` any",
    )
    otel: bool = switch(
        "CREWLINE_OTEL",
        "`on`: workers tell OpenTelemetry of each model call ([docs/costs.md](costs.md#opentelemetry));"
        " takes the extra `otel`",
    )
    model_timeout_seconds: float = seconds(
        "CREWLINE_MODEL_TIMEOUT_SECONDS", 120.0,
        "how long a model's provider may be silent before the call is made once more, then fails",
    )
    tool_timeout_seconds: float = seconds(
        "CREWLINE_TOOL_TIMEOUT_SECONDS", 300.0,
        "how long one call of a tool may take before [it has failed](crews.md#tools-that-fail)",
    )
    queue_url: str | None = text(
        "CREWLINE_QUEUE_URL",
        "the SQS queue that wakes `functions.crew_worker.handler`",
        is_address=True,
        shown="none: workers poll Redis",
    )
    queue_endpoint: str | None = text(
        "CREWLINE_QUEUE_ENDPOINT", "where that queue is", is_address=True, shown="AWS"
    )
    qstash: QStash | None = value(read_qstash, default=None)  # noqa: RUF009 -- it makes a field
    cron_secret: str | None = value(
        readers.cron_secret,
        "CRON_SECRET",
        meaning="what Vercel's crons bring to `GET /v1/sweep` and `GET /v1/retrain`"
        " ([docs/deploy-vercel.md](deploy-vercel.md))",
        default=None,
        secret=True,
        shown="none: these are not found",
    )
    worker_seconds: float = seconds(
        "CREWLINE_WORKER_SECONDS", 300.0,
        "how long the host lets a request to the address that QStash wakes take",
    )
    lease_seconds: float = seconds(
        "CREWLINE_LEASE_SECONDS", 30.0, "how long a silent worker keeps its step", shown="30 (local: 6)"
    )
    beat_seconds: float = seconds(
        "CREWLINE_BEAT_SECONDS", 10.0,
        "how often a worker says that it lives; at most a third of the lease",
        shown="10 (local: 2)",
    )
    step_seconds: float = seconds(
        "CREWLINE_STEP_SECONDS", 60.0, "no step is begun with less time left"
    )
    worker_flows: int = whole(
        "CREWLINE_WORKER_FLOWS", 16, 1,
        "flows that one worker process runs at once, half of them at most for one tenant",
    )
    stop_seconds: float = seconds(
        "CREWLINE_STOP_SECONDS", 8.0,
        "how long steps may go on when a worker is asked to stop; what is left then goes on"
        " elsewhere",
        shown="8 (local: 1)",
    )
    stream_seconds: float = seconds(
        "CREWLINE_STREAM_SECONDS", 55.0, "how long a stream lives before the reader comes back"
    )
    agui_seconds: float = seconds(
        "CREWLINE_AGUI_SECONDS", math.inf, "the same for an [AG-UI run](agui.md)", shown="no limit"
    )
    streams_per_subject: int = whole(
        "CREWLINE_STREAMS_PER_SUBJECT", 100, STREAMS_FLOOR,
        "how many streams (each flow of one counts) and held polls a subject may have in a process",
    )
    requests_per_subject: int = whole(
        "CREWLINE_REQUESTS_PER_SUBJECT", 128, 1,
        "how many other requests at once; one more gets 429",
    )
    body_seconds: float = seconds("CREWLINE_BODY_SECONDS", 60.0, "the time a body has to arrive")
    base_path: str = value(
        readers.base_path,
        "CREWLINE_BASE_PATH",
        meaning="what paths begin with at a custom domain or proxy, like `/prod`; a named stage of"
        " API Gateway needs none",
        default="",
        shown="none",
    )
    cors_origins: tuple[str, ...] = value(
        readers.origins,
        "CREWLINE_CORS_ORIGINS",
        meaning="the origins of browser pages, exact, with commas between",
        default=(),
        shown="none",
    )
    webhook_hosts: Mapping[str, tuple[str, ...]] = value(
        readers.webhook_hosts,
        "CREWLINE_WEBHOOK_HOSTS",
        meaning="`tenant=host,host;tenant=host`: where each tenant's webhooks may go"
        " ([docs/amp.md](amp.md))",
        default=dict,
        shown="none",
    )
    webhook_secrets: tuple[str, ...] = value(
        readers.webhook_secrets,
        "CREWLINE_WEBHOOK_SECRET",
        meaning="what webhooks are signed with; two, newer first, while it is rotated",
        default=(),
        secret=True,
    )
    flow_ttl_seconds: int = whole(
        "CREWLINE_FLOW_TTL_SECONDS", 7 * 24 * 3600, FLOW_TTL_FLOOR_SECONDS,
        "how long a flow is kept after its end; one that has not ended is always kept",
    )
    redis_plaintext: bool = value(
        lambda environ: environ.get("CREWLINE_REDIS_PLAINTEXT") == "yes",
        "CREWLINE_REDIS_PLAINTEXT",
        meaning="`yes`: the address of Redis may begin with `http://` on another machine too, on a"
        " network that nobody else can read",
        default=False,
        shown="no",
    )
    partitions: int = whole(
        "CREWLINE_PARTITIONS", 1, 1,
        "into how many slots of a Redis cluster the tenants are divided; the first worker records"
        " it in the store, and another number is refused",
    )
    max_request_bytes: int = whole(
        "CREWLINE_MAX_REQUEST_BYTES", 10_000_000, REQUEST_FLOOR,
        "the largest request that the store takes; results over 32 kB are in the bucket, texts are"
        " written in pieces; a step that would need more fails and says so",
    )
    log_format: str = value(
        readers.log_format,
        "CREWLINE_LOG",
        meaning="the form of [log lines](logs.md): JSON with the fields of each, or a line to read",
        default="json",
        shown="`json`; local: `text`",
    )

    # fmt: on
    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings. Raises SettingsError."""
        environ = given(environ)
        check_names(environ, cls, QStash, Oidc, others=HOST_VARIABLES)
        check_addresses(environ, cls, QStash, Oidc)
        settings = cls(**read_all(cls, environ))
        settings._check_together()
        return settings

    def token_keys(self) -> Mapping[str, str]:
        """Return the keys of tokens. Raises SettingsError where there are none, for what has to check one."""
        if not self.jwt_keys:
            raise SettingsError(
                "CREWLINE_JWT_KEYS is not set; docs/settings.md says what it should hold"
            )
        return self.jwt_keys

    def _check_together(self) -> None:
        """Raise SettingsError for settings that cannot work beside each other."""
        if readers.is_plaintext(self.redis_url) and not self.redis_plaintext:
            raise SettingsError(
                "UPSTASH_REDIS_REST_URL is not encrypted: use https://, or set "
                "CREWLINE_REDIS_PLAINTEXT=yes if nobody else can read that network"
            )
        if round(self.lease_seconds * 1000) < 3 * round(self.beat_seconds * 1000):
            raise SettingsError(
                "CREWLINE_LEASE_SECONDS must be at least three times CREWLINE_BEAT_SECONDS"
            )
        if self.flow_ttl_seconds <= self.lease_seconds:
            raise SettingsError(
                "CREWLINE_FLOW_TTL_SECONDS must be more than CREWLINE_LEASE_SECONDS"
            )
        if self.worker_seconds < self.step_seconds + WORKER_MARGIN_SECONDS:
            raise SettingsError(
                "CREWLINE_WORKER_SECONDS must be more than CREWLINE_STEP_SECONDS, with "
                f"{WORKER_MARGIN_SECONDS:.0f} s to spare"
            )
        if self.queue_url and self.qstash:
            raise SettingsError("set CREWLINE_QUEUE_URL or CREWLINE_WORKER_URL, not both")
