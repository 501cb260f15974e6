"""Clients of AWS' services, with what boto3 reads of the environment, but read as all other settings are.

White space at the ends of a value is nothing, though hosts' consoles and `echo ... | vercel env add` leave it there
and boto3 signs with it. The region is AWS_REGION's, which AWS' other tools read, or AWS_DEFAULT_REGION's.
"""

import os
from collections.abc import Mapping
from typing import Any

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]

REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "aws_access_key_id",
    "AWS_SECRET_ACCESS_KEY": "aws_secret_access_key",
    "AWS_SESSION_TOKEN": "aws_session_token",
}


def client(service: str, endpoint: str | None, config: Config) -> Any:
    """Return a client of a service; what the environment does not say comes from where boto3 looks else."""
    # Of its own: boto3's shared session keeps the first credentials that it sees.
    session = boto3.Session(**session_arguments(os.environ))
    return session.client(service, endpoint_url=endpoint, config=config)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def session_arguments(environ: Mapping[str, str]) -> dict[str, str]:
    """Return region and credentials of an environment, by the names that boto3's session has for them."""
    said = {name: environ.get(name, "").strip() for name in (*REGION, *CREDENTIALS)}
    region = next((said[name] for name in REGION if said[name]), None)
    keys = {argument: said[name] for name, argument in CREDENTIALS.items() if said[name]}
    whole = {"aws_access_key_id", "aws_secret_access_key"} <= keys.keys()
    return {**({"region_name": region} if region else {}), **(keys if whole else {})}
