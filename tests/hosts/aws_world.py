"""What a function has around it in a story of its permissions: its role's buckets and queue, and the rest in memory."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from core import bootstrap
from core.adapters.s3 import S3Blobs
from core.blobs import BlobRef
from core.crews.lessons import Lessons
from core.flows import Status, events
from core.flows.values import LargeValues
from core.learning.models.model_store import ModelStore
from core.learning.models.seals import SealKeys
from core.learning.serving import Learners
from crews.deciders import DECIDERS
from tests.aws_permissions import BUCKETS, Role
from tests.crew_folders import with_crew
from tests.e2e.apps import KEYS, App, opened
from tests.large_values import TEXT
from tests.worker_parts import FITTING, launched

READS_A_FILE = """
name: reads
description: Reads a file.
process: sequential
inputs:
  type: object
  required: [file]
  properties: {file: {type: string, format: crewline-input}}
agents: {a: {role: r, goal: g, backstory: b}}
tasks: {read: {description: "Read {file}", expected_output: o, agent: a}}
"""


@dataclass
class World:
    """A function's surroundings: the app behind its ports, its role, and buckets that nobody guards."""

    app: App
    role: Role
    files: S3Blobs
    models: S3Blobs

    async def ended(self, flow: str = "f1") -> None:
        """Have a flow with a large output."""
        await launched(self.app.flows, flow=flow, tenant="acme")
        data = json.dumps(TEXT).encode()
        self.files.put("acme", f"flows/{flow}/output", data, "application/json")
        await self.app.flows.transition(
            "acme", flow, Status.SUCCEEDED, status_epoch=0, events=events.run_finished(flow, 1),
            output=BlobRef(f"flows/{flow}/output", len(data)),
        )  # fmt: skip


@asynccontextmanager
async def acting(role: Role, folder: Path) -> AsyncIterator[World]:
    """Have the parts of a function that has this role in their places."""
    blobs, models = (role.blobs(bucket) for bucket in BUCKETS)
    with opened(folder, agui_seconds=0.1) as app:
        with_crew(folder, "reads", READS_A_FILE)
        log, store = bootstrap.feedback_log(), ModelStore(lambda: models, SealKeys(KEYS))
        learners = Learners(store, log)
        with bootstrap.replace(
            blobs=blobs, values=LargeValues(lambda: blobs, patience_seconds=1), wake_queue=role.queue(),
            model_store=store, learners=learners, store_check=FITTING,
            lessons=Lessons(learners, DECIDERS),
        ):  # fmt: skip
            yield World(app, role, *(S3Blobs(bucket, role.endpoint) for bucket in BUCKETS))
