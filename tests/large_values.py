"""A worker whose steps come to large texts, with its blobs in a real S3."""

from typing import Any

from core.adapters.s3 import S3Blobs
from core.crews.crew_runner import CrewRunner, Session, StepTask
from core.crews.timing import Timing
from core.crews.worker import Worker
from core.flows.values import LargeValues
from tests.fixtures_ports import Flows
from tests.workers import worker_over

TEXT = "\u4e2d\u6587\u5b57, " * 8_000  # 88 kB
JSON_BYTES = len(TEXT.encode()) + 2
TIMING = Timing(lease_seconds=30, beat_seconds=10, step_seconds=1)


class Writes(CrewRunner):
    """A runner whose steps all come to `text`; keeps what each was told."""

    def __init__(self, text: str = TEXT) -> None:
        self.text, self.told = text, dict[str, list[str]]()

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Return the text."""
        del session
        self.told[work.prompt.step] = [item.text for item in work.prompt.context]
        return {"output": self.text, "raw": self.text}


def values_in(bucket: str, endpoint: str) -> LargeValues:
    """Return large values in a bucket; nothing is remembered of what others read."""
    blobs = S3Blobs(bucket, endpoint)
    return LargeValues(lambda: blobs)


def a_worker(flows: Flows, runner: Any, values: LargeValues) -> Worker:
    """Return a worker over the ports of a test."""
    return worker_over(flows.ledger, flows.calls, flows.wake_queue, runner, TIMING, values=values)
