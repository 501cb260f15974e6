"""Upstash's REST API in front of a Redis or Valkey server: the functions run here as they do there."""

import sys

TOKEN_VARIABLE = "UPSTASH_REDIS_REST_TOKEN"  # noqa: S105 -- the variable's name, not a token


def server_command(
    port: int, redis_port: int, *, replica_port: int | None = None, adjustable: bool = False
) -> list[str]:
    """Command line of a gateway on 127.0.0.1:`port`; its token goes into the environment, TOKEN_VARIABLE.

    `replica_port` is that of an empty server, which reads that lag are served from.
    """
    command = [sys.executable, "-m", "infra.local.gateway", "--port", str(port)]
    command += ["--redis", f"127.0.0.1:{redis_port}"]
    command += [] if replica_port is None else ["--replica", f"127.0.0.1:{replica_port}"]
    return [*command, "--adjustable"] if adjustable else command
