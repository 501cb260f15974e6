"""Events of API Gateway, as its documentation and captures of the service have them, and what it makes of answers.

HTTP APIs (version 2.0) decode the path, and leave stage and base path in it; REST APIs leave the path as it was
sent, take the stage off, and tell the whole path in their context; both leave the base path of a custom domain in.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

from tests.hosts.asking import Answer, Sent

HOST, SOURCE = "api.example.com", "192.0.2.7"
TEXTS = ("text/", "application/json")  # what an HTTP API hands on as it is; all else in base64


@dataclass(frozen=True, slots=True)
class Gateway:
    """One way to a function: the kind of API, and where under its domain.

    `stage` is in the address, `base` what a custom domain maps to the API.
    """

    rest: bool = False
    stage: str = ""
    base: str = ""

    @property
    def prefix(self) -> str:
        """What clients put before /v1."""
        return f"/{self.stage}" if self.stage else self.base

    def event(self, sent: Sent) -> dict[str, Any]:
        """Return the event that a request becomes."""
        return self._rest(sent) if self.rest else self._http(sent)

    def _http(self, sent: Sent) -> dict[str, Any]:
        path, _, query = sent.path.partition("?")
        path = unquote(self.prefix + path)
        headers = {
            "host": HOST,
            "x-forwarded-proto": "https",
            "x-forwarded-port": "443",
            **sent.headers,
        }
        cookies = headers.pop("cookie", "").split("; ")
        body, coded = _body(
            sent, in_base64=not sent.headers.get("content-type", "").startswith(TEXTS)
        )
        event = {
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": query,
            "headers": headers,
            "requestContext": {
                "http": {
                    "method": sent.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": SOURCE,
                },
                "domainName": HOST,
                "stage": self.stage or "$default",
            },
            "isBase64Encoded": coded,
        }
        return (
            event
            | ({"cookies": cookies} if cookies != [""] else {})
            | ({"body": body} if body else {})
        )

    def _rest(self, sent: Sent) -> dict[str, Any]:
        path, _, query = sent.path.partition("?")
        values: dict[str, list[str]] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            values.setdefault(name, []).append(value)
        headers = {"Host": HOST, "X-Forwarded-Proto": "https", "X-Forwarded-Port": "443"}
        headers |= {name.title(): value for name, value in sent.headers.items()}
        body, coded = _body(sent, in_base64=True)  # binaryMediaTypes: */*
        return {
            "resource": "/{proxy+}",
            "path": self.base + path,
            "httpMethod": sent.method,
            "headers": headers,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
            "queryStringParameters": {name: listed[-1] for name, listed in values.items()} or None,
            "multiValueQueryStringParameters": values or None,
            "pathParameters": {"proxy": path.lstrip("/")},
            "requestContext": {
                "path": f"{self.prefix}{path}",
                "httpMethod": sent.method,
                "identity": {"sourceIp": SOURCE},
                "protocol": "HTTP/1.1",
                "stage": self.stage or "live",
            },
            "body": body,
            "isBase64Encoded": coded,
        }


def _body(sent: Sent, *, in_base64: bool) -> tuple[str | None, bool]:
    if not sent.body:
        return None, False
    if not in_base64:
        try:
            return sent.body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(sent.body).decode(), True


def answer(given: Mapping[str, Any]) -> Answer:
    """Return what a client is sent for what a handler returned. Fails where API Gateway would answer 502."""
    assert isinstance(given["statusCode"], int)
    headers: dict[str, str] = {
        name.lower(): value for name, value in (given.get("headers") or {}).items()
    }
    for name, values in (given.get("multiValueHeaders") or {}).items():
        headers[name.lower()] = ", ".join(values)
    assert all(isinstance(value, str) for value in headers.values()), headers
    assert not given.get("cookies"), "no function of ours sets a cookie"
    body = given.get("body") or ""
    return Answer(
        given["statusCode"],
        headers,
        base64.b64decode(body, validate=True) if given.get("isBase64Encoded") else body.encode(),
    )
