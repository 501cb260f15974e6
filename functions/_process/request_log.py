"""Logging in functions: set up by their first request, every line with the id of its request."""

import random
import re
from functools import cache
from itertools import islice
from typing import Any

from starlette.types import Scope

from core import bootstrap, logs
from core.config import SettingsError

REQUEST_ID = b"x-request-id"
MOST_HEADERS = 256  # of a request
_WELL_FORMED = re.compile(rb"[A-Za-z0-9._:+/=-]{1,128}")


@cache
def configure() -> None:
    """Have this process log as its settings say; as JSON where they cannot be used, so that this is told."""
    try:
        form = bootstrap.settings().log_format
    except SettingsError:
        form = "json"
    logs.configure(form)


def sent_request_id(scope: Scope) -> str | None:
    """Return the id that a request brings of itself, if it is one that may stand in a line.

    It is sought among as many headers as a request may have: this comes before it is known how many
    there are.
    """
    for name, value in islice(scope["headers"], MOST_HEADERS):
        if name == REQUEST_ID and is_well_formed(value):
            return value.decode("ascii")
    return None


def is_well_formed(request_id: bytes) -> bool:
    """Tell whether an id that was sent may stand in a line."""
    return _WELL_FORMED.fullmatch(request_id) is not None


def new_request_id(scope: Scope) -> str:
    """Return an id for a request: that of the invocation on AWS Lambda, else one drawn at random."""
    drawn = random.getrandbits(64)
    return invocation_id(scope.get("aws.context")) or f"{drawn:016x}"


def invocation_id(context: Any) -> str | None:
    """Return the id of an AWS Lambda invocation; None elsewhere."""
    return getattr(context, "aws_request_id", None)
