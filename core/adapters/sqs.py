"""Wake-ups over SQS: a message for each time that a worker should look at a flow.

A message is a hint and nothing more. It may come twice, late, in another order or not at all: the
ledger knows what is to be done, and the sweep sends another one for whatever is due.
"""

import asyncio
import json
from typing import Any

from botocore.config import Config  # pyright: ignore[reportMissingTypeStubs]
from botocore.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    BotoCoreError,
    ClientError,
)

from core.adapters import aws
from core.errors import UnavailableError


class SqsWakeQueue:
    """Sends to one standard queue; credentials and region are those of `aws.client`."""

    def __init__(self, queue_url: str, endpoint: str | None = None) -> None:
        self._queue_url = queue_url
        retries: Any = {"max_attempts": 3, "mode": "standard"}
        config = Config(connect_timeout=3, read_timeout=5, retries=retries)
        self._client = aws.client("sqs", endpoint, config)

    async def enqueue(self, tenant: str, flow: str) -> None:
        """Send a message. Raises UnavailableError; one that was sent after all does no harm."""
        body = json.dumps({"tenant": tenant, "flow": flow})
        try:
            await asyncio.to_thread(
                self._client.send_message, QueueUrl=self._queue_url, MessageBody=body
            )
        except (BotoCoreError, ClientError) as error:
            raise UnavailableError("the queue does not answer") from error
