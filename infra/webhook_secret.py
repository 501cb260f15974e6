"""Print what a tenant's receivers check webhooks with: `python -m infra.webhook_secret --tenant t`.

Derived from CREWLINE_WEBHOOK_SECRET, so nothing is stored; while that is rotated, one line for each
of its two values, the newer first. Where it is not set, that of local runs counts.
"""

import argparse
import os
import sys

from core.config import SettingsError, given, webhook_secrets
from core.webhooks.signing import tenant_secret


def _secrets() -> tuple[str, ...]:
    """Raises SettingsError."""
    if "CREWLINE_WEBHOOK_SECRET" in given(os.environ):
        return webhook_secrets(os.environ)
    from infra.local import cloud, host  # noqa: PLC0415 -- an image for deployments has none of what these need

    return (cloud.webhook_secret(host.data_folder(os.environ)),)


def main() -> None:
    """Print the secrets, or say what is wrong and exit with 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.webhook_secret")
    parser.add_argument("--tenant", required=True)
    tenant = parser.parse_args().tenant
    try:
        secrets = _secrets()
    except SettingsError as error:
        sys.exit(f"crewline: {error}")
    for secret in secrets:
        print(tenant_secret(secret, tenant))


if __name__ == "__main__":
    main()
