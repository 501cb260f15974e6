"""The local S3: `localbucket`, which keeps buckets as folders on disk and asks for no credentials.

    python -m infra.local.s3 FOLDER PORT ORIGIN...

Since it asks nobody for a key, it answers only programs of this machine and the pages of ORIGIN: any
other web page that finds the port would read and overwrite every tenant's inputs. A name that an
attacker's DNS points here is no address of this machine, so the Host must be one. Presigned URLs are
checked: what S3 would refuse, such as more or fewer bytes than were signed for, is refused here. So is
a PUT with `If-Match` of an object that has changed, and a GET with `If-None-Match` of one that has not is
304: localbucket looks at neither.
"""

import argparse
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from localbucket import S3Handler, etag_matches, object_etag

from infra.local import presigned

SECRET_KEY = "local"  # noqa: S105 -- that of this stand-in, which keeps nothing from this machine
_CHUNK_BYTES = 1 << 20
_HOSTS = frozenset({"127.0.0.1", "localhost"})


def server_command(folder: Path, port: int, bucket: str, origins: Iterable[str] = ()) -> list[str]:
    """Command line of an S3 endpoint on 127.0.0.1:`port` over `folder`, in which `bucket` is made.

    Addressing is by path: `http://127.0.0.1:PORT/BUCKET/KEY`. Of web pages, those of `origins` may
    use it.
    """
    command = [sys.executable, "-m", "infra.local.s3", str(folder), str(port), bucket]
    return command + [word for origin in origins for word in ("--origin", origin)]


class _Handler(S3Handler):
    origins: frozenset[str] = frozenset()

    def parse_request(self) -> bool:
        """Refuse what a foreign page sends, before anything is done about it."""
        if not super().parse_request():
            return False
        origin, host = self.headers.get("Origin"), self.headers.get("Host", "")
        if host.rpartition(":")[0] not in _HOSTS or (origin and origin not in self.origins):
            return self._refuse("pages of other origins may not use this")
        if self.command == "PUT" and presigned.is_presigned(self.path):
            headers = {name.lower(): value for name, value in self.headers.items()}
            code = presigned.refusal("PUT", self.path, headers, SECRET_KEY, datetime.now(UTC))
            return code is None or self._refuse(code)
        if self.command == "PUT" and not self._has_etag(self.headers.get("If-Match")):
            return self._refuse("PreconditionFailed", HTTPStatus.PRECONDITION_FAILED)
        known = self.headers.get("If-None-Match")
        if self.command == "GET" and known is not None and self._has_etag(known):
            self.send_response(HTTPStatus.NOT_MODIFIED)
            self.send_header("ETag", known)
            self.end_headers()
            return False
        return True

    def _has_etag(self, asked: str | None) -> bool:
        """Tell whether what is there has the ETag that a conditional request names."""
        path = self.data_root / unquote(urlsplit(self.path).path).lstrip("/")
        return asked is None or (path.is_file() and etag_matches(asked, object_etag(path)))

    def _refuse(self, why: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> bool:
        """Answer 403, or another status; the body is read, since a client that still sends it would not see why."""
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (chunk := self.rfile.read(min(left, _CHUNK_BYTES))):
            left -= len(chunk)
        self.close_connection = True
        self.send_error(status, why)
        return False


def main(argv: list[str]) -> None:
    """Serve until the process is stopped."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.s3")
    parser.add_argument("folder", type=Path, help="where the buckets are")
    parser.add_argument("port", type=int)
    parser.add_argument("bucket", help="a bucket that is made if it is not there")
    parser.add_argument("--origin", action="append", default=[], help="whose web pages may use it")
    parser.add_argument(
        "--any-address", action="store_true",
        help="listen beyond this machine, as in a container, whose port is then to be published on 127.0.0.1 only",
    )  # fmt: skip
    asked = parser.parse_args(argv)
    (asked.folder / asked.bucket).mkdir(parents=True, exist_ok=True)
    _Handler.data_root = asked.folder.resolve()
    _Handler.origins = frozenset(asked.origin)
    host = "0.0.0.0" if asked.any_address else "127.0.0.1"  # noqa: S104 -- asked for
    ThreadingHTTPServer((host, asked.port), _Handler).serve_forever()


if __name__ == "__main__":
    main(sys.argv[1:])
