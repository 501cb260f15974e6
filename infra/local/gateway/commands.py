"""Commands as Upstash's REST API takes them: from a JSON body or from a path, and which it refuses.

Two kinds are refused. Some Upstash does not offer over REST (blocking commands, WATCH, SUBSCRIBE as
a command); others would change the state of the one connection that all requests share.
"""

import json
from typing import Any
from urllib.parse import unquote_to_bytes

from infra.local.gateway.resp import Command

_BLOCKING = "BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP WAIT WAITAOF"
_TRANSACTION = "WATCH UNWATCH MULTI EXEC DISCARD"
_PUBSUB = "SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE SSUBSCRIBE SUNSUBSCRIBE MONITOR"
_CONNECTION = "AUTH HELLO SELECT RESET QUIT CLIENT SYNC PSYNC READONLY READWRITE ASKING"
_SERVER = "SHUTDOWN REPLICAOF SLAVEOF FAILOVER DEBUG MODULE CLUSTER"
_REFUSED = frozenset(
    f"{_BLOCKING} {_TRANSACTION} {_PUBSUB} {_CONNECTION} {_SERVER}".encode().split()
)
_READS = frozenset(
    b"GET MGET STRLEN EXISTS TYPE TTL PTTL KEYS SCAN HGET HMGET HGETALL HLEN HEXISTS XRANGE XREVRANGE"
    b" XLEN ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZSCORE ZMSCORE ZCARD ZCOUNT SMEMBERS"
    b" SISMEMBER SCARD LRANGE LLEN EVAL_RO EVALSHA_RO".split()
)
_BLOCK_OPTION = frozenset({b"XREAD", b"XREADGROUP"})


class Malformed(ValueError):  # noqa: N818 -- says what it is
    """The request does not hold a command."""


def _refuse_constant(name: str) -> None:
    raise Malformed(f"{name} is not JSON")


# A number keeps the text it was sent as: 1.0 stays 1.0, and no integer is too long.
_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_refuse_constant)


def from_json(body: bytes) -> Command:
    """Read `["SET", "key", "value"]`. Raises Malformed."""
    return _command(_parse(body))


def batch_from_json(body: bytes) -> list[Command]:
    """Read `[["SET", "key", "value"], ["GET", "key"]]`. Raises Malformed."""
    rows = _parse(body)
    if not isinstance(rows, list) or not rows:
        raise Malformed("expected a JSON array of commands")
    return [_command(row) for row in rows]


def from_path(raw_path: bytes, query: bytes, body: bytes) -> Command:
    """Read `/set/key/value?EX=100`: the body, then the query's names and values come last."""
    command = [unquote_to_bytes(part) for part in raw_path.removeprefix(b"/").split(b"/")]
    if body:
        command.append(body)
    for pair in query_pairs(query):
        command.extend(part for part in pair if part)
    return command


def query_pairs(query: bytes) -> list[tuple[bytes, bytes]]:
    """Split a query string into its names and values, without the `_token`."""
    pairs = (part.replace(b"+", b" ").partition(b"=") for part in query.split(b"&") if part)
    decoded = [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, _, value in pairs]
    return [pair for pair in decoded if pair[0] != b"_token"]


def name_of(command: Command) -> bytes:
    return command[0].upper()


def is_read(command: Command) -> bool:
    """Whether a replica may answer this: what changes nothing, and says so. A script may change all."""
    return name_of(command) in _READS


def refusal(command: Command) -> str | None:
    """Say in Upstash's words why a command is not served, or nothing where it is."""
    name = name_of(command)
    if name in _REFUSED or (name in _BLOCK_OPTION and _has_block(command)):
        return f"ERR Command is not available: '{name.decode()}'"
    return None


def _has_block(command: Command) -> bool:
    options = [argument.upper() for argument in command]
    return b"BLOCK" in options[: options.index(b"STREAMS") if b"STREAMS" in options else None]


def _parse(body: bytes) -> Any:
    try:
        return _decoder.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise Malformed("failed to parse the body as JSON") from error


def _command(row: Any) -> Command:
    if not isinstance(row, list) or not row:
        raise Malformed("expected a command as a JSON array of strings and numbers")
    return [_argument(item) for item in row]


def _argument(item: Any) -> bytes:
    if item is True or item is False:
        return b"true" if item else b"false"
    if not isinstance(item, str):
        raise Malformed("an argument must be a string or a number")
    try:
        return item.encode()
    except UnicodeEncodeError as error:
        raise Malformed("an argument holds half of a surrogate pair") from error
