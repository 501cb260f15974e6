"""A table of requests that is sent to hosts: what one says, what comes back, and in what two answers may differ.

A table is sent from its first line to its last, to a tenant of its own, so that a line may name what an
earlier answer said (`saves`, then `{name}`). To each line belong requests that `around` adds: the same without a
token, with one of no scope, as HEAD, under the tag that came, and the preflight of a page.
"""

import importlib
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol

ORIGIN = "https://app.example.com"
REQUEST_ID = "asked-1"  # of all requests: each answer has to name it
# What a host, and no function of ours, says of an answer.
OF_THE_HOST = frozenset(
    {
        "connection",
        "content-length",
        "date",
        "keep-alive",
        "server",
        "x-vercel-internal-timing",  # of a cold start
        "transfer-encoding",
    }
)
OFTEN_OTHER = [  # what differs between two answers that say the same
    (re.compile(r"\b(fl|in)_[0-9a-f]{32}\b"), r"\1_ID"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4?[0-9a-f]{3,4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"\b1[0-9]{12}\b"), "MS"),
    (re.compile(r"\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(Z|\+00:00)"), "TIME"),
    (re.compile(r"\b(?!5eed)[0-9a-f]{8}(?=\.[0-9])"), "INCARNATION"),
    (re.compile(r"(ticket=|\"ticket\":\")[\w.~%-]+"), r"\1TICKET"),
    (re.compile(r"https?://127\.0\.0\.1:\d+/[^\"]*X-Amz[^\"]*"), "PRESIGNED"),
    (re.compile(r"\bt[0-9a-f]{12}\b"), "TENANT"),
    (re.compile(r"(?<=before=)[0-9]{16}"), "ORDER"),
    (re.compile(r'(?<=")[0-9a-f]{32}(?=")'), "DIGEST"),
    (re.compile(r"^retry: \d+$", re.MULTILINE), "retry: MS"),
]


# In JSON and in a Link header. The path in `output_ref` stands in the log, too, and so has no prefix anywhere.
LINK = re.compile(r"([\"<])/v1/(?!flows/[\w-]+/output)")


class Answer(NamedTuple):
    """What came back: names of headers in small letters, the body without its base64."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Line:
    """One request of the table, and the status that says it went as meant.

    `saves` are names for what the answer says: a JSON pointer of one member, or a header. `bearer` is
    whose token goes with it: of `everything`, of `nothing` (no scope), or none (""). `frames` marks a stream of events,
    of which a host that buffers hands on the beginning. `by_host` are headers that are not compared. Nothing is asked
    around a line that stands `alone`.
    """

    function: str
    method: str
    path: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    saves: Mapping[str, str] = field(default_factory=dict[str, str])
    bearer: str = "everything"
    frames: bool = False
    by_host: frozenset[str] = frozenset()
    alone: bool = False

    @property
    def title(self) -> str:
        """What the line is called in a list of differences."""
        said = ", ".join(f"{name}: {value}" for name, value in self.headers.items())
        text = f"{self.method} {self.path[:80]} [{said[:120]}] as {self.bearer or 'nobody'}"
        return text if self.body is None else f"{text} {str(self.body)[:80]}"


@dataclass(frozen=True, slots=True)
class Sent:
    """A request as it goes out: its path as a route of ours begins, with the query."""

    function: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = b""


class Host(Protocol):
    """Something that runs functions. `prefix` is what paths begin with there, before /v1."""

    @property
    def prefix(self) -> str: ...

    @property
    def buffers(self) -> bool: ...

    def send(self, sent: Sent) -> Answer:
        """Have the function answer."""
        ...


def around(line: Line) -> Iterator[Line]:
    """Yield what is asked besides a line: of each path once, what strangers and pages would."""
    plain = replace(line, saves={}, by_host=frozenset())
    yield replace(plain, bearer="", status=401, frames=False)
    yield replace(plain, bearer="nothing", status=403, frames=False)
    asked = {
        "access-control-request-method": line.method,
        "access-control-request-headers": "authorization",
    }
    yield replace(
        plain,
        method="OPTIONS",
        headers={"origin": ORIGIN, **asked},
        body=None,
        bearer="",
        status=200,
        frames=False,
    )


def as_head(line: Line) -> Line:
    """The same as HEAD, as a browser sends it from another origin, with a cookie that nobody reads."""
    headers = {**line.headers, "origin": ORIGIN, "cookie": "a=1; b=2"}
    return replace(line, method="HEAD", headers=headers, saves={}, frames=False)


Tokens = Callable[[str], dict[str, str]]


def play(host: Host, table: Sequence[Line], tokens: Tokens) -> dict[str, Answer]:
    """Send a table, and what belongs to its lines; return all answers by their requests.

    `tokens` gives the header of `everything` or `nothing`.
    """
    known, answers, seen = dict[str, str](), dict[str, Answer](), set[tuple[str, str]]()

    def ask(line: Line) -> Answer:
        answer = answers[_free(line.title, answers)] = host.send(_sent(line, known, tokens, host))
        return answer

    for line in table:
        if not line.alone and (line.method, line.path) not in seen:
            seen.add((line.method, line.path))
            for other in around(line):
                _expect(other, ask(other))
        answer = ask(line)
        _expect(line, answer)
        known |= {name: _said(answer, where) for name, where in line.saves.items()}
        if line.method == "GET" and "prefer" not in line.headers:
            head = as_head(line)
            _expect(head, ask(head))
            if answer.status == 200 and (tag := answer.headers.get("etag")):
                known["tag"] = tag
                headers = {**line.headers, "if-none-match": "{tag}"}
                again = replace(line, headers=headers, saves={}, status=304)
                _expect(again, ask(again))
    return answers


def _free(title: str, taken: Mapping[str, Any]) -> str:
    return title if title not in taken else _free(f"{title} again", taken)


def _expect(line: Line, answer: Answer) -> None:
    assert answer.status == line.status, (line.title, answer.status, answer.body[:500])
    length = answer.headers.get("content-length")
    if length is not None and line.method != "HEAD":
        assert int(length) == len(answer.body), line.title


def _said(answer: Answer, where: str) -> str:
    if not where.startswith("/"):
        return answer.headers[where]
    value = json.loads(answer.body)
    for part in where.split("/")[1:]:
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


def _sent(line: Line, known: Mapping[str, str], tokens: Tokens, host: Host) -> Sent:
    """Fill the names in. A link that the host gave begins with its prefix, which is put before each path again."""
    path = line.path.format(**known) if "{" in line.path else line.path
    headers = {n: v.format(**known) if "{" in v else v for n, v in line.headers.items()}
    headers["x-request-id"] = REQUEST_ID
    if line.bearer:
        headers |= tokens(line.bearer)
    body = line.body
    if body is None:
        return Sent(line.function, line.method, _without(path, host.prefix), headers)
    if not isinstance(body, bytes):
        body = json.dumps(body, ensure_ascii=False).encode()
        headers.setdefault("content-type", "application/json")
    for name, value in known.items():
        body = body.replace(f"<{name}>".encode(), value.encode())
    return Sent(line.function, line.method, _without(path, host.prefix), headers, body)


def _without(path: str, prefix: str) -> str:
    return path.removeprefix(prefix)


def differences(
    expected: Mapping[str, Answer], found: Mapping[str, Answer], table: Sequence[Line], host: Host
) -> list[str]:
    """Return in what a host answers otherwise than the one whose answers are `expected`."""
    told, lines = list[str](), {line.title: line for line in table}
    for title, answer in found.items():
        line = lines.get(title.split(" again")[0])
        by_host = line.by_host if line else frozenset[str]()
        ours = comparable(answer, "", by_host)
        theirs = comparable(expected[title], host.prefix, by_host)
        if line and line.frames:
            ours, theirs = _in_order(ours), _in_order(theirs)
            if host.buffers and _begins(theirs.body, ours.body):
                ours = ours._replace(body=theirs.body)
        if ours != theirs:
            told.append(f"{title}\n  expected {theirs}\n  found    {ours}")
    return told


def _in_order(answer: Answer) -> Answer:
    """Sort the events of several flows on a stream by their flow: which comes first is chance, and so is their id."""
    if b'data: {"flow":' not in answer.body:
        return answer
    text = re.sub(rb"^(id|retry): .+\n", b"", answer.body, flags=re.MULTILINE)
    frames = sorted(text.split(b"\n\n"), key=lambda frame: frame.partition(b'"event"')[0][-20:])
    return answer._replace(body=b"\n\n".join(frames))


def _begins(whole: bytes, part: bytes) -> bool:
    """Tell whether a stream has all frames of another, which a host has cut after some."""
    return set(part.split(b"\n\n")) <= set(whole.split(b"\n\n"))


def comparable(answer: Answer, prefix: str, by_host: frozenset[str] = frozenset()) -> Answer:
    """Return an answer without what may differ; links in it begin with this prefix."""
    left_out = OF_THE_HOST | by_host
    headers = {
        name: _alike(f"{prefix}{value}" if name == "location" else value, prefix)
        for name, value in sorted(answer.headers.items())
        if name not in left_out
    }
    return Answer(answer.status, headers, _alike(_text(answer), prefix).encode())


def _text(answer: Answer) -> str:
    match answer.headers.get("content-encoding"):
        case "br" if answer.body:
            body = importlib.import_module("brotli").decompress(answer.body)
        case "gzip" if answer.body:
            body = zlib.decompress(answer.body, zlib.MAX_WBITS | 16)
        case _:
            body = answer.body
    return body.decode("utf-8", "backslashreplace")


def _alike(text: str, prefix: str) -> str:
    text = LINK.sub(rf"\1{prefix}/v1/", text)
    for pattern, word in OFTEN_OTHER:
        text = pattern.sub(word, text)
    return text
