"""Hosts by how they are reached: over HTTP, or by an event of API Gateway that a Lambda function is invoked with."""

import http.client
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.hosts.asking import Answer, Sent
from tests.hosts.gateway_events import Gateway, answer

Invoke = Callable[[str, Any], Any]  # a function by its name, with an event: what it returns
LAMBDA_BYTES = 6 * 1024**2 + 100  # of an event, and of what a function returns
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class OverHttp:
    """A host that speaks HTTP. `address` is that of whatever takes a request there.

    Paths and headers go out as they stand: no client makes them better.
    """

    address: Callable[[Sent], str]
    prefix: str = ""
    buffers: bool = False

    def send(self, sent: Sent) -> Answer:
        parts = urlsplit(self.address(sent))
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=ANSWER_SECONDS)
        try:
            connection.putrequest(sent.method, self.prefix + sent.path, skip_accept_encoding=True)
            for name, value in sent.headers.items():
                connection.putheader(name, value)
            if sent.body or sent.method in {"POST", "PUT"}:
                connection.putheader("content-length", str(len(sent.body)))
            connection.endheaders(sent.body or None)
            found = connection.getresponse()
            headers = {name.lower(): value for name, value in found.getheaders()}
            return Answer(found.status, headers, found.read())
        finally:
            connection.close()


@dataclass(frozen=True, slots=True)
class OnLambda:
    """Functions on AWS Lambda, behind an API of API Gateway, which hands on whole answers."""

    invoke: Invoke
    gateway: Gateway = Gateway()  # noqa: RUF009 -- frozen
    buffers: bool = True

    @property
    def prefix(self) -> str:
        return self.gateway.prefix

    def send(self, sent: Sent) -> Answer:
        event = self.gateway.event(sent)
        assert len(json.dumps(event)) <= LAMBDA_BYTES
        returned = self.invoke(sent.function, event)
        assert len(json.dumps(returned)) <= LAMBDA_BYTES
        return answer(returned)


@dataclass(frozen=True, slots=True)
class StreamedOnLambda:
    """Functions on AWS Lambda that stream, behind a REST API of API Gateway."""

    stream: Callable[[str, Any], Answer]
    gateway: Gateway = Gateway(rest=True)  # noqa: RUF009 -- frozen
    buffers: bool = False

    @property
    def prefix(self) -> str:
        return self.gateway.prefix

    def send(self, sent: Sent) -> Answer:
        return self.stream(sent.function, self.gateway.event(sent))
