"""Drives a flow again that failed or was cancelled: `python -m infra.redrive --tenant T --flow F`.

Prints the id of the new flow, which keeps what the old one had done. Needs the settings of a function
that launches (README.md).
"""

import argparse
import asyncio
import secrets
import sys

from core import bootstrap
from core.config import SettingsError
from core.crews import clock, control
from core.errors import CrewlineError


async def redrive(tenant: str, flow: str) -> str:
    """Return the id of the new flow. Raises ConflictError, NotFoundError, UnavailableError."""
    return await control.redrive(
        bootstrap.operator_ledger(),
        bootstrap.wake_queue(),
        tenant=tenant,
        flow=flow,
        new_id=lambda: secrets.token_hex(16),
        now_ms=clock.now_ms(),
    )


def main() -> None:
    """Read the command line and drive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--flow", required=True)
    given = parser.parse_args()
    try:
        print(asyncio.run(redrive(given.tenant, given.flow)))
    except (CrewlineError, SettingsError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
