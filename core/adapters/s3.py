"""BlobStore over S3: one object a blob, under its tenant's prefix."""

from typing import Any, BinaryIO

import boto3  # pyright: ignore[reportMissingTypeStubs]
from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
)

from core.errors import NotFoundError, UnavailableError

ABSENT = ("404", "NoSuchKey", "NotFound")


class S3Blobs:
    """Blobs in a bucket; credentials and region come from where boto3 looks for them."""

    def __init__(self, bucket: str, endpoint: str | None = None) -> None:
        self._bucket = bucket
        self._client: Any = boto3.client(  # pyright: ignore[reportUnknownMemberType]
            "s3",
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=3,
                read_timeout=20,
                retries={"max_attempts": 3, "mode": "standard"},
                signature_version="s3v4",
                s3={"addressing_style": "path" if endpoint else "auto"},
            ),
        )

    def put(self, tenant: str, blob: str, data: bytes, content_type: str) -> None:
        """Store an object."""
        self._call("put_object", tenant, blob, Body=data, ContentType=content_type)

    def open(self, tenant: str, blob: str) -> BinaryIO:
        """Return the object's stream."""
        return self._call("get_object", tenant, blob)["Body"]

    def size(self, tenant: str, blob: str) -> int:
        """Return the object's length."""
        return self._call("head_object", tenant, blob)["ContentLength"]

    def upload_url(self, tenant: str, blob: str, size: int, ttl_seconds: int) -> str:
        """Return a presigned PUT; the signed length makes S3 refuse another."""
        return self._client.generate_presigned_url(
            "put_object",
            Params={"Bucket": self._bucket, "Key": f"{tenant}/{blob}", "ContentLength": size},
            ExpiresIn=ttl_seconds,
        )

    def _call(self, operation: str, tenant: str, blob: str, **more: Any) -> Any:
        try:
            call = getattr(self._client, operation)
            return call(Bucket=self._bucket, Key=f"{tenant}/{blob}", **more)
        except ClientError as error:
            answer: dict[str, Any] = error.response  # pyright: ignore[reportUnknownMemberType, reportAssignmentType]
            if answer.get("Error", {}).get("Code") in ABSENT:
                raise NotFoundError(f"no input {blob}") from error
            raise UnavailableError("the object store refuses for now") from error
        except BotoCoreError as error:
            raise UnavailableError("the object store does not answer") from error
