"""Upstash's refusals in its own words, so that a test can have the gateway refuse like it.

The texts are those of https://upstash.com/docs/redis/troubleshooting, with the figures that its
users report with them; the HTTP statuses those of its page on the REST API. Upstash does not say
which status a quota has; 400, that of a failed command, is what is seen.
"""

from typing import NamedTuple

_SEE = "See https://upstash.com/docs/redis/troubleshooting"


class Refusal(NamedTuple):
    status: int
    message: str


REFUSALS = {
    "daily-requests": Refusal(
        400,
        "ERR max daily request limit exceeded. Limit: 10000, Usage: 10000. "
        f"{_SEE}/max_daily_request_limit for details",
    ),
    "monthly-requests": Refusal(
        400,
        "ERR max requests limit exceeded. Limit: 500000, Usage: 500000. "
        f"{_SEE}/max_requests_limit for details",
    ),
    "connections": Refusal(400, "ERR max concurrent connections exceeded"),
    "capacity": Refusal(
        400,
        "ERR DB capacity quota exceeded. Threshold: 268435456 bytes, Usage: 274604636 bytes. "
        f"{_SEE}/db_capacity_quota_exceeded for details",
    ),
    "request-size": Refusal(
        400,
        "ERR max request size exceeded. Limit: 10485760 bytes, Actual: 14680404 bytes. "
        f"{_SEE}/max_request_size_exceeded for details",
    ),
    "record-size": Refusal(400, "ERR max single record size exceeded"),
    "key-size": Refusal(400, "ERR max key size exceeded. Limit: 32768 bytes, Actual: 40000 bytes"),
    "field-size": Refusal(
        400, "ERR max field size exceeded. Limit: 32768 bytes, Actual: 40000 bytes"
    ),
    "member-size": Refusal(
        400, "ERR max member size exceeded. Limit: 32768 bytes, Actual: 40000 bytes"
    ),
    "wrong-token": Refusal(401, "WRONGPASS invalid or missing auth token"),
    "no-token": Refusal(401, "NOAUTH Authentication required."),
    "no-permission": Refusal(
        400, "NOPERM this user has no permissions to run the 'evalsha' command"
    ),
    "out-of-memory": Refusal(400, "OOM command not allowed when used memory > 'maxmemory'."),
    "read-only": Refusal(400, "READONLY You can't write against a read only replica."),
    "loading": Refusal(400, "LOADING Redis is loading the dataset in memory"),
    "busy": Refusal(400, "BUSY Redis is busy running a script."),
    "unheard-of": Refusal(400, "ERR max flurbs of this region exceeded. Limit: 7, Usage: 7"),
}
