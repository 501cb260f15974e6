"""Run the ASGI app that `_HANDLER` names, such as functions.flow_events.app, as a function that streams."""

import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Mapping

from starlette.types import ASGIApp

from functions._process import event_loop, request_log
from infra.aws.streaming.hosting import Host
from infra.aws.streaming.runtime_api import RuntimeApi
from infra.draining import Draining

log = logging.getLogger("infra.aws.streaming")


async def main(environ: Mapping[str, str]) -> int:
    """Answer invocations until SIGTERM; return the exit code.

    Raises RuntimeApiError and OSError, which end the process: Lambda starts another.
    """
    request_log.configure()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    api = RuntimeApi(environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        app = load(environ["_HANDLER"])
    except Exception as error:
        log.exception("the function cannot be loaded")
        await api.report_init(error)
        return 1
    await Host(Draining(app, stopping), api).serve(stopping)
    return 0


def load(name: str) -> ASGIApp:
    """Return the app of a module. Raises whatever importing it does."""
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


if __name__ == "__main__":
    code = event_loop.run(main(os.environ))
    sys.stderr.flush()
    os._exit(code)  # what is left are connections and tasks of no use to anybody
