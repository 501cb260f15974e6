"""Mint a token: `python -m infra.token --tenant demo --subject me --scope flows:read`.

Signs with the first key of CREWLINE_JWT_KEYS, or with the development key of local runs where
that is not set. Without `--scope` the token may do everything.
"""

import argparse
import os
import sys
import time

from core.config import LOCAL_HOST, SettingsError, given, jwt_keys
from core.errors import InvalidInputError
from core.identity import SCOPES, Keys, mint


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.token", description="Mint a token.")
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--subject", required=True)
    parser.add_argument(
        "--scope", action="append", choices=sorted(SCOPES), help="may be given again; default all"
    )
    parser.add_argument("--ttl-seconds", type=int, default=3600, help="at most a day; default 3600")
    return parser.parse_args()


def _keys() -> Keys:
    """Raises SettingsError."""
    if "CREWLINE_JWT_KEYS" in given(os.environ):
        return Keys(jwt_keys(os.environ))
    from infra.local import cloud, host  # noqa: PLC0415 -- an image for deployments has none of what these need

    local = cloud.development_key(host.data_folder(os.environ))
    return Keys(jwt_keys({"CREWLINE_JWT_KEYS": local, "CREWLINE_HOST": LOCAL_HOST}))


def main() -> None:
    """Print the token, or say what is wrong and exit with 1."""
    asked = _arguments()
    scopes, now = asked.scope or SCOPES, int(time.time())
    try:
        token = mint(
            _keys(), asked.tenant, asked.subject, scopes, ttl_seconds=asked.ttl_seconds, now=now
        )
    except (SettingsError, InvalidInputError) as error:
        sys.exit(f"crewline: {error}")
    print(token)


if __name__ == "__main__":
    main()
