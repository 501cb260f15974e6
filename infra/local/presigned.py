"""Checks presigned URLs as S3 does: AWS Signature Version 4, in the query.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

_UNRESERVED = "-_.~"


def is_presigned(target: str) -> bool:
    """Whether a request's path and query are those of a presigned URL."""
    return "X-Amz-Signature=" in urlsplit(target).query


def refusal(
    method: str, target: str, headers: Mapping[str, str], secret: str, now: datetime
) -> str | None:
    """Return S3's code for a request that its URL was not signed for; None where it was.

    A signed header counts with the value that the request has: so of another length is another
    request than the one that was signed.
    """
    query = dict(parse_qsl(urlsplit(target).query, keep_blank_values=True))
    try:
        signature, signed_at = query.pop("X-Amz-Signature"), query["X-Amz-Date"]
        began = datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        ends = began + timedelta(seconds=int(query["X-Amz-Expires"]))
        scope = query["X-Amz-Credential"].partition("/")[2]
        request = _canonical(method, target, query, headers)
    except (KeyError, ValueError):
        return "AuthorizationQueryParametersError"
    if now > ends:
        return "AccessDenied"
    digest = hashlib.sha256(request.encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    expected = hmac.new(key, f"AWS4-HMAC-SHA256\n{signed_at}\n{scope}\n{digest}".encode(), "sha256")
    return None if hmac.compare_digest(expected.hexdigest(), signature) else "SignatureDoesNotMatch"


def _canonical(
    method: str, target: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> str:
    """Return the request as it is signed. Raises KeyError for a signed header that is not there."""
    names = query["X-Amz-SignedHeaders"]
    pairs = sorted(
        (quote(k, safe=_UNRESERVED), quote(v, safe=_UNRESERVED)) for k, v in query.items()
    )
    lines = [
        method,
        urlsplit(target).path,
        "&".join(f"{name}={value}" for name, value in pairs),
        *(f"{name}:{headers[name].strip()}" for name in names.split(";")),
        "",
        names,
        "UNSIGNED-PAYLOAD",
    ]
    return "\n".join(lines)
