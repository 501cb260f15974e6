"""Print what a tenant's receivers check webhooks with: `python -m infra.webhook_secret --tenant t`.

Derived from CREWLINE_WEBHOOK_SECRET, so nothing is stored; while that is rotated, one line for each
of its two values, the newer first.
"""

import argparse
import os
import sys

from core.config import SettingsError, webhook_secrets
from core.webhooks.signing import tenant_secret


def main() -> None:
    """Print the secrets, or say what is wrong and exit with 1."""
    parser = argparse.ArgumentParser(prog="python -m infra.webhook_secret")
    parser.add_argument("--tenant", required=True)
    tenant = parser.parse_args().tenant
    try:
        secrets = webhook_secrets(os.environ)
    except SettingsError as error:
        sys.exit(f"crewline: {error}")
    if not secrets:
        sys.exit(
            "crewline: CREWLINE_WEBHOOK_SECRET is not set; docs/settings.md says what it should hold"
        )
    for secret in secrets:
        print(tenant_secret(secret, tenant))


if __name__ == "__main__":
    main()
