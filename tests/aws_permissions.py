"""A role of the template in force: a call that boto3 signs is allowed by it or refused, and what was used is kept."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import ClientError

from core.adapters.s3 import S3Blobs
from core.adapters.sqs import SqsWakeQueue

BUCKETS = {"crewline-blobs": "Blobs", "crewline-models": "Models"}
QUEUE, REGION = "crewline-wake", "eu-central-1"
# Permissions are not always named as what is done with them; HeadBucket and a signed link are.
PERMISSIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
}
OF_BUCKETS = {"s3:ListBucket"}
Permission = tuple[str, str]  # an action, and a resource by its logical id: Blobs.Arn/*


@dataclass
class Role:
    """Makes the parts of a function that has a role; `used` are the permissions that they needed."""

    endpoint: str
    allowed: set[Permission]
    used: set[Permission] = field(default_factory=set[Permission])

    def blobs(self, bucket: str) -> S3Blobs:
        """Return a bucket."""
        blobs = S3Blobs(bucket, self.endpoint)
        events = blobs._client.meta.events
        events.register("before-sign.s3", self._on_object)
        for operation in ("GetObject", "HeadObject"):
            events.register(f"after-call.s3.{operation}", self._on_answer)
        return blobs

    def queue(self) -> SqsWakeQueue:
        """Return the queue of wake-ups."""
        url = boto3.client("sqs", endpoint_url=self.endpoint).get_queue_url(QueueName=QUEUE)
        queue = SqsWakeQueue(url["QueueUrl"], self.endpoint)
        queue._client.meta.events.register("before-sign.sqs", self._on_message)
        return queue

    def _on_object(self, request: Any, operation_name: str, **_: Any) -> None:
        action = PERMISSIONS[operation_name]
        bucket = f"{_bucket(request.url)}.Arn"
        self._require(action, bucket if action in OF_BUCKETS else f"{bucket}/*")

    def _on_answer(self, http_response: Any, **_: Any) -> None:
        """Whoever may not list a bucket is told 403 of an object that is not there."""
        if http_response.status_code == 404:
            self._require("s3:ListBucket", f"{_bucket(http_response.url)}.Arn")

    def _on_message(self, operation_name: str, **_: Any) -> None:
        self._require(f"sqs:{operation_name}", "WakeQueue.Arn")

    def _require(self, action: str, resource: str) -> None:
        self.used.add((action, resource))
        if (action, resource) not in self.allowed:
            told = {"Error": {"Code": "AccessDenied", "Message": f"{action} on {resource}"}}
            raise ClientError(told, action)  # pyright: ignore[reportArgumentType]


def _bucket(url: str) -> str:
    return BUCKETS[urlsplit(url).path.split("/")[1]]
