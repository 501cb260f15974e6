"""Retry-After: when a provider wants to be asked again, from the error that its client raises.

The header holds seconds or a date (RFC 9110, 10.2.3). OpenAI and Azure also send `retry-after-ms`.
"""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, cast

_MOST_SECONDS = 24 * 3600.0  # a provider that says more means something else


def retry_after_seconds(error: BaseException) -> float | None:
    """Return in how many seconds; None if the error's response does not say."""
    headers = _headers(error)
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if (seconds := _seconds(headers.get(name), unit)) is not None:
            return min(max(0.0, seconds), _MOST_SECONDS)
    return None


def response_metadata(error: BaseException) -> dict[str, Any]:
    """Return what boto's errors say of the response; {} for all others."""
    response: Any = getattr(error, "response", None)
    if not isinstance(response, dict):
        return {}
    return cast("dict[str, Any]", response).get("ResponseMetadata") or {}


def _headers(error: BaseException) -> dict[str, str]:
    """Return a response's headers, their names in small letters; boto's errors hold them as dicts."""
    headers: Any = getattr(getattr(error, "response", None), "headers", None)
    if headers is None:
        headers = response_metadata(error).get("HTTPHeaders")
    if not isinstance(headers, Mapping):
        return {}
    pairs = cast("Mapping[str, Any]", headers).items()
    return {str(name).lower(): str(value).strip() for name, value in pairs}


def _seconds(text: str | None, unit: float) -> float | None:
    if text is None:
        return None
    try:
        number = float(text)
    except ValueError:
        return _until(text)
    return number / unit if math.isfinite(number) else None


def _until(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
