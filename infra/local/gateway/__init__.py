"""Upstash's REST API in front of a Redis or Valkey server: the functions run here as they do there."""

import sys

TOKEN_VARIABLE = "UPSTASH_REDIS_REST_TOKEN"  # noqa: S105 -- the variable's name, not a token


def server_command(port: int, redis_port: int) -> list[str]:
    """Command line of a gateway on 127.0.0.1:`port`; its token goes into the environment, TOKEN_VARIABLE."""
    redis = f"127.0.0.1:{redis_port}"
    return [sys.executable, "-m", "infra.local.gateway", "--port", str(port), "--redis", redis]
