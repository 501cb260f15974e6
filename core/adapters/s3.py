"""BlobStore over S3: one object a blob, under its tenant's prefix.

Calls block until the store answers, as long as botocore's time-outs let them; `core.blobs` has the threads
in which to call them, and a total limit.
"""

from functools import cached_property
from io import BufferedReader, RawIOBase
from typing import Any, BinaryIO

from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
    NoCredentialsError,
)
from urllib3.exceptions import HTTPError

from core.adapters import aws
from core.blobs import AWAY, THREADS, VersionedBlob
from core.config import SettingsError
from core.errors import ConflictError, NotFoundError, TooLargeError, UnavailableError

ABSENT = ("404", "NoSuchKey", "NotFound")
UNCHANGED = ("304", "NotModified")
CHANGED = ("412", "PreconditionFailed", "ConditionalRequestConflict")
MISCONFIGURED = (  # no waiting mends these
    "NoSuchBucket",
    "InvalidBucketName",
    "PermanentRedirect",
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
)
READ_BYTES = 64 * 1024
LISTED = 1_000  # names in one page: S3 tells no more


class S3Blobs:
    """Blobs in a bucket; credentials and region are those of `aws.client`.

    Raises SettingsError where the bucket or the credentials are wrong, which only the operator can
    mend, beside the errors of the port.
    """

    def __init__(self, bucket: str, endpoint: str | None = None) -> None:
        self._bucket, self._endpoint = bucket, endpoint

    @cached_property
    def _client(self) -> Any:
        """The client, made when it is first used: that takes 0.2 s, and many flows have no object."""
        config = Config(
            connect_timeout=3,
            read_timeout=8,  # a call that nobody waits for any more ends soon after
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=THREADS,
            signature_version="s3v4",
            # "auto" signs uploads for the global address, which sends those to a new bucket of another
            # region on to an address that they are not signed for.
            s3={"addressing_style": "path" if self._endpoint else "virtual"},
        )
        return aws.client("s3", self._endpoint, config)

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        """Store an object."""
        self._call("put_object", tenant, blob, Body=data, ContentType=content_type)

    def open(self, tenant: str, blob: str) -> BinaryIO:
        """Return the object's stream; reading it raises UnavailableError where it is cut."""
        return BufferedReader(_Body(self._call("get_object", tenant, blob)["Body"]), READ_BYTES)

    def read(
        self, tenant: str, blob: str, most_bytes: int, etag: str | None = None
    ) -> VersionedBlob | None:
        """Return the object, by a conditional GET where an ETag is known."""
        try:
            found = self._call(
                "get_object", tenant, blob, **({} if etag is None else {"IfNoneMatch": etag})
            )
        except _UnchangedError:
            return None
        with BufferedReader(_Body(found["Body"]), READ_BYTES) as stream:
            if found.get("ContentLength", 0) > most_bytes:
                raise TooLargeError(f"the object has over {most_bytes:,} bytes")
            return VersionedBlob(stream.read(), _etag(found))

    def swap(self, tenant: str, blob: str, data: bytes, content_type: str, etag: str | None) -> str:
        """Store an object by a conditional PUT."""
        only = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            put = self._call(
                "put_object", tenant, blob, Body=data, ContentType=content_type, **only
            )
        except NotFoundError as error:  # what S3 says of an ETag of what was deleted
            raise ConflictError("somebody else has deleted it") from error
        return _etag(put)

    def size(self, tenant: str, blob: str) -> int:
        """Return the object's length."""
        return self._call("head_object", tenant, blob)["ContentLength"]

    def delete(self, tenant: str, blob: str) -> None:
        """Remove an object."""
        self._call("delete_object", tenant, blob)

    def delete_all(self, tenant: str, prefix: str) -> None:
        """Remove the objects under a prefix, one by one: a flow has few."""
        for blob in self.names(tenant, prefix):
            self.delete(tenant, blob)

    def names(self, tenant: str, prefix: str) -> list[str]:
        """Return the ids of the objects under a prefix, however many pages that takes."""
        own, more, found = f"{tenant}/", dict[str, str](), list[str]()
        while True:
            page = self._call_on("list_objects_v2", Prefix=own + prefix, MaxKeys=LISTED, **more)
            found += (each["Key"].removeprefix(own) for each in page.get("Contents", []))
            if not page.get("IsTruncated"):
                return found
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        """Return a presigned PUT; the signed length makes S3 refuse another."""
        return self._client.generate_presigned_url(
            "put_object",
            Params={"Bucket": self._bucket, "Key": f"{tenant}/{blob}", "ContentLength": size},
            ExpiresIn=ttl_seconds,
        )

    def _call(self, operation: str, tenant: str, blob: str, **more: Any) -> Any:
        return self._call_on(operation, Key=f"{tenant}/{blob}", **more)

    def _call_on(self, operation: str, **arguments: Any) -> Any:
        try:
            return self._request(operation, **arguments)
        except ClientError as error:
            code = _code(error)
            if code == "404":  # of a HEAD, which does not say what is missing
                self._check_bucket()
            if code in UNCHANGED:
                raise _UnchangedError from error
            if code in CHANGED:
                raise ConflictError("somebody else has changed it") from error
            if code in ABSENT:
                raise NotFoundError("no such input") from error
            raise self._refusal(code) from error
        except NoCredentialsError as error:
            raise SettingsError(
                "there are no credentials for the object store: set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or give this host a role that may use CREWLINE_BUCKET"
            ) from error
        except BotoCoreError as error:
            raise UnavailableError(AWAY) from error

    def _request(self, operation: str, **arguments: Any) -> Any:
        return getattr(self._client, operation)(Bucket=self._bucket, **arguments)

    def _check_bucket(self) -> None:
        """Raise SettingsError if there is no bucket."""
        try:
            self._request("head_bucket")
        except ClientError as error:
            raise self._refusal("NoSuchBucket" if _code(error) == "404" else "") from error

    def _refusal(self, code: str) -> Exception:
        if code in MISCONFIGURED:
            return SettingsError(
                f"the object store refuses the bucket {self._bucket} ({code}): "
                "make it, or set CREWLINE_BUCKET and the credentials right"
            )
        return UnavailableError("the object store refuses for now")


class _UnchangedError(Exception):
    """The object still has the ETag that was named."""


class _Body(RawIOBase):
    """An object's bytes as they come. boto3 counts them: an end that comes too soon is an error."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        try:
            data: bytes = self._body.read(len(buffer))
        except (BotoCoreError, HTTPError, OSError) as error:
            raise UnavailableError("the object store stopped in the middle of an object") from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _code(error: ClientError) -> str:
    answer: dict[str, Any] = error.response  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
    return answer.get("Error", {}).get("Code", "")


def _etag(answer: dict[str, Any]) -> str:
    """Return what S3 puts into each such answer. Raises UnavailableError for an answer of another."""
    if "ETag" not in answer:
        raise UnavailableError("what answers in the object store's place is none")
    return answer["ETag"]
