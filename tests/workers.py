"""A worker over the ports that a test has."""

from core.costs.recording import UsageBook
from core.crews.call_ledger import CallLedger
from core.crews.crew_runner import CrewRunner
from core.crews.journal import Journals, NoJournals
from core.crews.ledger import RunLedger
from core.crews.lessons import Lessons
from core.crews.step_runner import StepRunner
from core.crews.timing import Timing
from core.crews.wakeups import WakeQueue
from core.crews.worker import Worker
from core.flows.values import INLINE, LargeValues


def worker_over(
    ledger: RunLedger,
    call_ledger: CallLedger,
    wake_queue: WakeQueue,
    runner: CrewRunner,
    timing: Timing,
    *,
    lessons: Lessons | None = None,
    journals: Journals | None = None,
    values: LargeValues = INLINE,
    usage_book: UsageBook | None = None,
    deployed_model: str | None = None,
) -> Worker:
    deps = (
        ledger,
        call_ledger,
        runner,
        timing,
        values,
        lessons or Lessons(),
        journals or NoJournals(),
    )
    steps = StepRunner(*deps, usage_book=usage_book, deployed_model=deployed_model)
    return Worker(ledger, wake_queue, steps, values)
