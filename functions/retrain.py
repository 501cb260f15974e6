"""Woken by a schedule: makes models of new feedback, tries each, and publishes what is not worse.

`handler` is AWS Lambda's entry, with 3 GB and ten minutes; `app` is that of schedules over HTTP: POST
/v1/retrain, signed by QStash, or GET with the secret of Vercel's crons; `python -m infra.retrain` does it once, on any machine. A task is retrained
when its feedback has waited for a minute.
"""

import logging

from core import bootstrap, logs
from core.config import SettingsError
from core.crews.clock import Clock, NoLimit
from core.errors import UnavailableError
from core.learning.feedback import FeedbackLog, Lease
from core.learning.retraining import OVERTAKEN, Retrainer
from functions._worker import schedules

log = logging.getLogger(__name__)

LEASE_MS = 15 * 60_000  # longer than any host lets a retraining run
DELAY_MS = 60_000  # for more feedback to come
LEAST_SECONDS = 30.0  # with less time left no task is begun


async def retrain(feedback: FeedbackLog, retrainer: Retrainer, clock: Clock) -> dict[str, int]:
    """Retrain each task that has something to learn, while there is time; return what came of it.

    A task that fails, is killed or is overtaken keeps its lease, so it is begun anew when that is over; and
    it holds up no other.
    """
    outcomes = dict[str, int]()
    while clock.seconds_left() > LEAST_SECONDS:
        found = await feedback.lease(LEASE_MS, DELAY_MS)
        if found is None:
            break
        outcome = await _outcome(feedback, retrainer, found)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    return outcomes


async def _outcome(feedback: FeedbackLog, retrainer: Retrainer, lease: Lease) -> str:
    task = lease.task
    with logs.context(tenant=lease.tenant):
        try:
            outcome = await retrainer.retrain(lease.tenant, task)
            if outcome != OVERTAKEN:
                await feedback.release(lease)
        except (UnavailableError, SettingsError) as error:
            log.error("a task was not retrained", extra={"task": task, "why": str(error)})  # noqa: TRY400 -- said in full
            return "failed"
        except Exception:
            log.exception("a retraining failed unexpectedly", extra={"task": task})
            return "failed"
        log.info("retrained", extra={"task": task, "outcome": outcome})
        return outcome


async def retrain_for(clock: Clock) -> dict[str, int]:
    """Retrain what has something to learn, while there is time."""
    return await retrain(bootstrap.feedback_log(), bootstrap.retrainer(clock), clock)


async def retrain_now() -> dict[str, int]:
    """Retrain all that has something to learn, however long it takes."""
    await bootstrap.store_check().require()
    return await retrain_for(NoLimit())


handler = schedules.handler(retrain_for)
app = schedules.app("retrain", lambda qstash: qstash.retrain_url, retrain_for, bootstrap.seal_keys)
