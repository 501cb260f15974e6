"""Settings: everything a deployment may choose, read from the environment in one place.

`Settings.from_environ` refuses what cannot work, with a sentence that names the variable. A variable
that is empty, or blank, is one that is not set: `${env:X, ''}` in a template gives that.
docs/settings.md lists the variables.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

from core.environ import (
    SettingsError,
    check_addresses,
    check_secrets,
    given,
    limit,
    on,
    required,
    seconds,
    whole,
)

BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
ADDRESSES = frozenset({
    "UPSTASH_REDIS_REST_URL", "CREWLINE_S3_ENDPOINT", "CREWLINE_QUEUE_URL", "CREWLINE_QUEUE_ENDPOINT",
    "CREWLINE_WORKER_URL", "CREWLINE_SWEEP_URL", "QSTASH_URL", "CREWLINE_MODEL_BASE_URL",
})  # fmt: skip
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?")
WEBHOOK_HOST = re.compile(
    r"(?:(?P<scheme>https?)://(?=.*:\d{1,5}\Z))?"
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)  # what an entry means, core.webhooks.targets says
LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")
DEV_KEY_ID = "dev"
LOCAL_HOST = "local"
REQUEST_FLOOR = 100_000  # bytes: a launch and its first events must fit
STREAMS_FLOOR = 20  # a single stream may have so many flows
LOG_FORMATS = ("json", "text")
OFFLINE = "offline"  # the value of CREWLINE_MODEL that asks for the model that needs no key
FLOW_TTL_FLOOR_SECONDS = 3600  # of an ended flow: readers must have the time to see its end
WORKER_MARGIN_SECONDS = 5.0  # of an invocation, for the last commit and the hand-over


@dataclass(frozen=True, slots=True)
class QStash:
    """How QStash is reached, and how it reaches the worker."""

    worker_url: str
    token: str = field(repr=False)
    signing_keys: tuple[str, ...] = field(repr=False)  # the current one and the next
    url: str
    sweep_url: str | None = None  # of functions.sweep, where a schedule calls it


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. Times are in seconds, sizes in bytes."""

    redis_url: str
    redis_token: str = field(repr=False)
    jwt_keys: Mapping[str, str] = field(repr=False)  # key id -> secret; two while keys are rotated
    bucket: str
    s3_endpoint: str | None = None
    queue_url: str | None = None  # of SQS; without one, the due set is the queue
    queue_endpoint: str | None = None
    qstash: "QStash | None" = None
    worker_seconds: float = 300.0
    worker_flows: int = 16  # that one process runs at once; a tenant may have half of them
    stop_seconds: float = 8.0  # for steps to finish in when a worker is asked to stop
    base_path: str = ""  # like /prod: what the paths of requests begin with, before /v1
    cors_origins: tuple[str, ...] = ()  # exact, as browsers send them
    model: str | None = None
    offline_model: bool = False  # asked for by name, or a local run that names no other
    model_base_url: str | None = None
    model_api_key: str | None = field(default=None, repr=False)
    model_streams: bool = False  # at that address
    model_timeout_seconds: float = 120.0  # that a provider may be silent
    tool_timeout_seconds: float = 300.0  # that one call of a tool may take
    lease_seconds: float = 30.0
    beat_seconds: float = 10.0
    step_seconds: float = 60.0
    stream_seconds: float = 55.0
    streams_per_subject: int = 100
    agui_seconds: float = math.inf  # of an AG-UI run's stream
    flow_ttl_seconds: int = 7 * 24 * 3600
    partitions: int = 1  # of the keys; fixed with the first flow
    max_request_bytes: int = 10_000_000  # that the store takes
    webhook_hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    log_format: str = "json"

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings. Raises SettingsError."""
        environ = given(environ)
        check_addresses(environ, ADDRESSES)
        api_key = environ.get("CREWLINE_MODEL_API_KEY") or _openai_key(environ)
        base_url = environ.get("CREWLINE_MODEL_BASE_URL")
        default_model = "openai/gpt-4o-mini" if api_key or base_url else None
        model = environ.get("CREWLINE_MODEL", default_model)
        offline = model == OFFLINE or (model is None and environ.get("CREWLINE_HOST") == LOCAL_HOST)
        settings = cls(
            redis_url=_redis_url(environ),
            redis_token=required(environ, "UPSTASH_REDIS_REST_TOKEN"),
            jwt_keys=jwt_keys(environ),
            bucket=required(environ, "CREWLINE_BUCKET"),
            s3_endpoint=environ.get("CREWLINE_S3_ENDPOINT"),
            queue_url=environ.get("CREWLINE_QUEUE_URL"),
            queue_endpoint=environ.get("CREWLINE_QUEUE_ENDPOINT"),
            qstash=_qstash(environ),
            worker_seconds=seconds(environ, "CREWLINE_WORKER_SECONDS", 300.0),
            worker_flows=whole(environ, "CREWLINE_WORKER_FLOWS", 16, 1),
            stop_seconds=seconds(environ, "CREWLINE_STOP_SECONDS", 8.0),
            base_path=_base_path(environ.get("CREWLINE_BASE_PATH", "")),
            cors_origins=_origins(environ.get("CREWLINE_CORS_ORIGINS", "")),
            model=None if model == OFFLINE else model,
            offline_model=offline,
            model_base_url=base_url,
            model_api_key=api_key,
            model_streams=on(environ, "CREWLINE_MODEL_STREAM"),
            model_timeout_seconds=seconds(environ, "CREWLINE_MODEL_TIMEOUT_SECONDS", 120.0),
            tool_timeout_seconds=seconds(environ, "CREWLINE_TOOL_TIMEOUT_SECONDS", 300.0),
            lease_seconds=seconds(environ, "CREWLINE_LEASE_SECONDS", 30.0),
            beat_seconds=seconds(environ, "CREWLINE_BEAT_SECONDS", 10.0),
            step_seconds=seconds(environ, "CREWLINE_STEP_SECONDS", 60.0),
            stream_seconds=seconds(environ, "CREWLINE_STREAM_SECONDS", 55.0),
            streams_per_subject=whole(environ, "CREWLINE_STREAMS_PER_SUBJECT", 100, STREAMS_FLOOR),
            agui_seconds=limit(environ, "CREWLINE_AGUI_SECONDS"),
            flow_ttl_seconds=whole(
                environ, "CREWLINE_FLOW_TTL_SECONDS", 7 * 24 * 3600, FLOW_TTL_FLOOR_SECONDS
            ),
            partitions=whole(environ, "CREWLINE_PARTITIONS", 1, 1),
            max_request_bytes=whole(
                environ, "CREWLINE_MAX_REQUEST_BYTES", 10_000_000, REQUEST_FLOOR
            ),
            webhook_hosts=webhook_hosts(environ),
            webhook_secrets=webhook_secrets(environ),
            log_format=_log_format(environ),
        )
        settings._check_together()
        return settings

    def _check_together(self) -> None:
        """Raise SettingsError for settings that cannot work beside each other."""
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
        if self.webhook_hosts and not self.webhook_secrets:
            raise SettingsError("CREWLINE_WEBHOOK_HOSTS needs CREWLINE_WEBHOOK_SECRET to sign with")


def _openai_key(environ: Mapping[str, str]) -> str | None:
    """Return OpenAI's key where it is meant; a model of another provider would be handed it."""
    provider = environ.get("CREWLINE_MODEL", "openai").partition("/")[0]
    meant = provider == "openai" or "CREWLINE_MODEL_BASE_URL" in environ
    return environ.get("OPENAI_API_KEY") if meant else None


def _qstash(environ: Mapping[str, str]) -> QStash | None:
    if not (worker_url := environ.get("CREWLINE_WORKER_URL")):
        return None
    current = required(environ, "QSTASH_CURRENT_SIGNING_KEY")
    following = required(environ, "QSTASH_NEXT_SIGNING_KEY")
    return QStash(
        worker_url=worker_url,
        token=required(environ, "QSTASH_TOKEN"),
        signing_keys=(current, following),
        url=environ.get("QSTASH_URL") or "https://qstash.upstash.io",
        sweep_url=environ.get("CREWLINE_SWEEP_URL") or None,
    )


def _redis_url(environ: Mapping[str, str]) -> str:
    """Return where the store is. Its token, and all that is kept, would be read on the way to it."""
    url = required(environ, "UPSTASH_REDIS_REST_URL")
    address, asked_for = urlsplit(url), environ.get("CREWLINE_REDIS_PLAINTEXT") == "yes"
    here = LOOPBACK.fullmatch(address.hostname or "")
    if address.scheme == "http" and not here and not asked_for:
        raise SettingsError(
            "UPSTASH_REDIS_REST_URL is not encrypted: use https://, or set "
            "CREWLINE_REDIS_PLAINTEXT=yes if nobody else can read that network"
        )
    return url


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",") if origin.strip())
    if wrong := [origin for origin in origins if not ORIGIN.fullmatch(origin)]:
        raise SettingsError(
            f"CREWLINE_CORS_ORIGINS: {wrong[0]} is not like https://app.example.com"
        )
    return origins


def _base_path(text: str) -> str:
    path = text.strip().rstrip("/")
    if path and not BASE_PATH.fullmatch(path):
        raise SettingsError("CREWLINE_BASE_PATH must be like /prod")
    return path


def _log_format(environ: Mapping[str, str]) -> str:
    default = "text" if environ.get("CREWLINE_HOST") == LOCAL_HOST else "json"
    form = environ.get("CREWLINE_LOG", default)
    if form not in LOG_FORMATS:
        raise SettingsError("CREWLINE_LOG must be json or text")
    return form


def jwt_keys(environ: Mapping[str, str]) -> dict[str, str]:
    """Read `CREWLINE_JWT_KEYS=kid:secret,kid:secret`: the first signs, all of them verify.

    Raises SettingsError, also for the development key anywhere but on the local host.
    """
    pairs = [pair.partition(":") for pair in required(environ, "CREWLINE_JWT_KEYS").split(",")]
    keys = {kid.strip(): secret.strip() for kid, _, secret in pairs}
    if len(keys) < len(pairs):
        raise SettingsError("CREWLINE_JWT_KEYS names the same kid twice")
    if len(keys) > 2 or not all(keys):  # noqa: PLR2004 -- the new one and the old one
        raise SettingsError("CREWLINE_JWT_KEYS must be one or two of kid:secret")
    check_secrets("CREWLINE_JWT_KEYS", keys.values())
    if DEV_KEY_ID in keys and environ.get("CREWLINE_HOST") != LOCAL_HOST:
        raise SettingsError("CREWLINE_JWT_KEYS holds the development key; make one of your own")
    return keys


def webhook_hosts(environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read `CREWLINE_WEBHOOK_HOSTS=tenant=host,host;tenant=host`. Raises SettingsError.

    What an entry may be, `core.webhooks.targets` says.
    """
    hosts: dict[str, tuple[str, ...]] = {}
    for part in filter(None, map(str.strip, environ.get("CREWLINE_WEBHOOK_HOSTS", "").split(";"))):
        tenant, _, listed = (text.strip() for text in part.partition("="))
        hosts[tenant] = tuple(host.strip() for host in listed.split(","))
        if not tenant or not all(map(WEBHOOK_HOST.fullmatch, hosts[tenant])):
            raise SettingsError(
                "CREWLINE_WEBHOOK_HOSTS must be like tenant=hooks.example.com,other.example.com;tenant=..."
            )
    return hosts


def webhook_secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Read `CREWLINE_WEBHOOK_SECRET`: one, or two with the newer first. Raises SettingsError."""
    listed = environ.get("CREWLINE_WEBHOOK_SECRET", "").split(",")
    secrets = tuple(secret.strip() for secret in listed if secret.strip())
    if len(secrets) > 2:  # noqa: PLR2004 -- the new one and the old one
        raise SettingsError("CREWLINE_WEBHOOK_SECRET must be one or two, with a comma between")
    check_secrets("CREWLINE_WEBHOOK_SECRET", secrets)
    return secrets
