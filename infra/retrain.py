"""Makes models of new feedback, once: `python -m infra.retrain`.

What `functions.retrain` does by schedule. Needs the settings of a function (docs/settings.md); where they
name no store, that of the `make dev` that runs is taken. Prints what came of each task.
"""

import argparse
import asyncio
import os
import sys

from core import config
from core.errors import CrewlineError
from functions import retrain
from functions._process import request_log
from infra.local import folder, host
from infra.local.processes import LocalError


def main() -> None:
    """Retrain what has feedback that has waited for a minute."""
    argparse.ArgumentParser(prog="python -m infra.retrain", description=__doc__).parse_args()
    try:
        if "UPSTASH_REDIS_REST_URL" not in config.given(os.environ):
            os.environ.update(folder.running(host.data_folder(os.environ)))
        request_log.configure()
        print(asyncio.run(retrain.retrain_now()))
    except (CrewlineError, LocalError, config.SettingsError) as error:
        sys.exit(f"crewline: {error}")


if __name__ == "__main__":
    main()
