"""Drives a flow again that failed or was cancelled: `python -m infra.redrive --tenant T --flow F`.

Prints the id of the new flow, which keeps what the old one had done. Needs the settings of a function
that launches (docs/settings.md); where they name no store, that of the `make dev` that runs is taken.
"""

import argparse
import asyncio
import os
import secrets
import sys

from core import bootstrap, config
from core.crews.control import FlowControl
from core.errors import CrewlineError
from infra.local import folder, host
from infra.local.processes import LocalError


async def redrive(tenant: str, flow: str) -> str:
    """Return the id of the new flow. Raises ConflictError, NotFoundError, UnavailableError."""
    control = FlowControl(bootstrap.operator_ledger(), bootstrap.wake_queue())
    return await control.redrive(
        bootstrap.values(), tenant=tenant, flow=flow, new_id=lambda: secrets.token_hex(16)
    )


def main() -> None:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--flow", required=True)
    given = parser.parse_args()
    try:
        if "UPSTASH_REDIS_REST_URL" not in config.given(os.environ):
            os.environ.update(folder.running(host.data_folder(os.environ)))
        print(asyncio.run(redrive(given.tenant, given.flow)))
    except (CrewlineError, LocalError, config.SettingsError) as error:
        sys.exit(f"crewline: {error}")


if __name__ == "__main__":
    main()
