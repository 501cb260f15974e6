"""The cloud on one machine: starts what the functions reach over HTTP, and says where it is.

Whatever the environment names already is used instead: a real Upstash (UPSTASH_REDIS_REST_URL and
its token), a Redis server (REDIS_URL, behind our own REST gateway), a bucket (CREWLINE_BUCKET).
"""

import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from core.config import DEV_KEY_ID, LOCAL_HOST, given
from infra.local import gateway, s3, valkey
from infra.local.processes import LocalError, Processes, free_port, is_listening

BUCKET = "crewline-local"
LOCAL_TIMING = {
    "CREWLINE_LEASE_SECONDS": "6",
    "CREWLINE_BEAT_SECONDS": "2",
    "CREWLINE_STOP_SECONDS": "1",
}
LOCAL_AWS = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": s3.SECRET_KEY,
    "AWS_DEFAULT_REGION": "us-east-1",
}


def start(
    processes: Processes, data: Path, environ: Mapping[str, str], origins: Iterable[str] = ()
) -> dict[str, str]:
    """Start the servers; return the environment in which the functions find them.

    All state lies under `data` and survives; pages of `origins` may upload. Raises LocalError.
    """
    found = _with_defaults(environ)
    if "UPSTASH_REDIS_REST_URL" not in found:
        found |= _redis(processes, data, found)
    if "CREWLINE_BUCKET" not in found:
        pages = [*origins, *filter(None, found.get("CREWLINE_CORS_ORIGINS", "").split(","))]
        found |= _bucket(processes, data, pages)
    found.setdefault("CREWLINE_JWT_KEYS", development_key(data))
    found.setdefault("CREWLINE_LEARNING_KEYS", development_key(data, "learning.key"))
    found.setdefault("CREWLINE_WEBHOOK_SECRET", webhook_secret(data))
    return found


def as_if_started(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of `start` without starting anything: addresses and keys are made up."""
    found = _with_defaults(environ)
    nowhere = "http://127.0.0.1:9"
    if "UPSTASH_REDIS_REST_URL" not in found:
        found |= {"UPSTASH_REDIS_REST_URL": nowhere, gateway.TOKEN_VARIABLE: "none"}
    if "CREWLINE_BUCKET" not in found:
        found |= {"CREWLINE_BUCKET": BUCKET, "CREWLINE_S3_ENDPOINT": nowhere}
    found.setdefault("CREWLINE_JWT_KEYS", f"{DEV_KEY_ID}:{secrets.token_hex(32)}")
    return found


def _with_defaults(environ: Mapping[str, str]) -> dict[str, str]:
    return LOCAL_TIMING | given(environ) | {"CREWLINE_HOST": LOCAL_HOST}


def development_key(data: Path, name: str = "development.key") -> str:
    """Return a key of this machine, made once so that what it signed outlives a restart.

    Without a name it is that of CREWLINE_JWT_KEYS.
    """
    path = data / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(32))
    return f"{DEV_KEY_ID}:{path.read_text().strip()}"


def webhook_secret(data: Path) -> str:
    """Return what webhooks of this machine are signed with where nothing else is set."""
    return development_key(data, "webhook.key").partition(":")[2]


def _redis(processes: Processes, data: Path, environ: Mapping[str, str]) -> dict[str, str]:
    redis_port = _given_port(environ["REDIS_URL"]) if "REDIS_URL" in environ else None
    if redis_port is None:
        redis_port = free_port()
        processes.start("valkey", valkey.server_command(data / "valkey", redis_port))
        ready_port = redis_port
        processes.wait_until("valkey", lambda: valkey.is_ready(ready_port))
    port, token = free_port(), secrets.token_urlsafe(24)
    command = gateway.server_command(port, redis_port)
    processes.start("gateway", command, environ={**os.environ, gateway.TOKEN_VARIABLE: token})
    processes.wait_until("gateway", lambda: is_listening(port))
    return {"UPSTASH_REDIS_REST_URL": f"http://127.0.0.1:{port}", gateway.TOKEN_VARIABLE: token}


def _given_port(url: str) -> int:
    """Return the port of a server on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "redis" or parts.hostname not in ("127.0.0.1", "localhost"):
        raise LocalError("REDIS_URL must be redis://127.0.0.1:PORT; for others set Upstash's own")
    port = parts.port or 6379
    if not valkey.is_ready(port):
        raise LocalError(f"no Redis answers at {url}: start it, or unset REDIS_URL")
    return port


def _bucket(processes: Processes, data: Path, origins: list[str]) -> dict[str, str]:
    port = free_port()
    processes.start("s3", s3.server_command(data / "s3", port, BUCKET, map(str.strip, origins)))
    processes.wait_until("s3", lambda: is_listening(port))
    return {
        "CREWLINE_BUCKET": BUCKET,
        "CREWLINE_S3_ENDPOINT": f"http://127.0.0.1:{port}",
        **LOCAL_AWS,
    }
