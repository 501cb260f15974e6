"""QStash as far as we use it: takes messages over HTTP, signs and delivers them, tries again.

The signature is as QStash documents it: a JWT (HS256) that names the address and the hash of the
body. A delivery that fails is tried `Upstash-Retries` times more, here after a moment.
"""

import base64
import hashlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt

CURRENT, NEXT, TOKEN = "c" * 32, "n" * 32, "q"
AGAIN_SECONDS = 0.3
DELIVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Message:
    """One message: where to, what, and how often it may be tried again."""

    address: str
    body: bytes
    retries: int


def signature(message: Message) -> str:
    now = int(time.time())
    digest = base64.urlsafe_b64encode(hashlib.sha256(message.body).digest()).decode()
    claims = {"iss": "Upstash", "sub": message.address, "exp": now + 300, "nbf": now, "iat": now,
              "jti": f"jwt_{now}", "body": digest}  # fmt: skip
    return jwt.encode(claims, CURRENT, algorithm="HS256")


@dataclass
class QStashStub:
    """What was published. `carried` says what becomes of a message: it itself, if all is well."""

    url: str = ""
    published: list[Message] = field(default_factory=list[Message])
    dead: list[Message] = field(default_factory=list[Message])
    carried: Callable[[Message], list[Message]] = lambda message: [message]

    def take(self, message: Message) -> None:
        self.published.append(message)
        for copy in self.carried(message):
            threading.Thread(target=self.deliver, args=(copy,), daemon=True).start()

    def deliver(self, message: Message) -> None:
        """Deliver a message, now and then again, or give it up."""
        for _ in range(message.retries + 1):
            if _posted(message):
                return
            time.sleep(AGAIN_SECONDS)
        self.dead.append(message)


def _posted(message: Message) -> bool:
    headers = {"upstash-signature": signature(message), "content-type": "application/json"}
    request = urllib.request.Request(message.address, message.body, headers, method="POST")  # noqa: S310 -- the test's own
    try:
        with urllib.request.urlopen(request, timeout=DELIVERY_SECONDS):  # noqa: S310 -- likewise
            return True
    except OSError:  # an answer of 4xx or 5xx is one too
        return False


@contextmanager
def qstash() -> Iterator[QStashStub]:
    """Yield a stub that listens."""
    stub = QStashStub()

    class Publish(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            ours = self.headers["authorization"] == f"Bearer {TOKEN}"
            if ours:
                address = self.path.removeprefix("/v2/publish/")
                stub.take(Message(address, body, int(self.headers["upstash-retries"])))
            self.send_response(201 if ours else 401)
            self.end_headers()
            self.wfile.write(b'{"messageId": "msg_1"}' if ours else b"{}")

        def log_message(self, *_: object, **__: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Publish)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    stub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
