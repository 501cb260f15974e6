"""Outcomes: why a worker leaves a flow, and what an error means for its step and for the flow.

| what is raised                     | the step                | the flow is left               |
|------------------------------------|-------------------------|--------------------------------|
| OutOfTimeError                     | given back              | OUT_OF_TIME                    |
| StepDeferredError, UnavailableError| given back, for later   | DEFERRED                       |
| BudgetExhaustedError               | given back              | WAITS                          |
| StepFailedError, TooLargeError     | has failed              | ENDED: it has failed           |
| TooManyAttemptsError               | has failed              | ENDED: it has failed           |
| another error of the runner        | the attempt has failed  | by raising StepCrashedError    |
| FencedError                        | is somebody else's      | FENCED                         |
| ExpiredError                       | left as it is           | ENDED: it took too long        |
| NotFoundError                      | is gone                 | GONE                           |
| StoreAwayError, outside of steps   |                         | DEFERRED                       |
| UnavailableError, outside of steps |                         | by raising it: it stays due    |
| another error outside of steps     |                         | by raising it; at last ENDED   |

`StepRunner` knows what stands in the middle, `Worker` what stands on the right.
"""

from dataclasses import dataclass
from enum import Enum, auto

from core.costs.budget import Refusal
from core.crews.crew_runner import StepDeferredError


class Outcome(Enum):
    """Why a worker is done with a flow for now."""

    ENDED = auto()
    WAITS = auto()  # for a person, or money
    BUSY = auto()  # other workers hold all that is ready
    DEFERRED = auto()  # its step was given back, to be claimed later
    OUT_OF_TIME = auto()  # another worker was asked for
    GONE = auto()
    FENCED = auto()  # it moved on in other hands


@dataclass(frozen=True, slots=True)
class MoneyWait:
    """The step was given back: its flow waits until a budget has room, or its window ends."""

    refusal: Refusal


class StepError(Exception):
    """The step cannot succeed, and so the flow cannot; the message is for the user."""


class TooManyAttemptsError(StepError):
    """The step was started too often without coming any further."""


class StepCrashedError(Exception):
    """The runner stopped in a way that it should not; the attempt counts, its error is recorded."""


class OutOfTimeError(StepDeferredError):
    """The worker's time is up."""

    def __init__(self) -> None:
        super().__init__("the worker's time is up", 0)
