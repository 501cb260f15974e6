"""Running a step: what a worker hands to whoever does, and what it gets back.

A step is one agent asked for one thing. A strategy writes it down as a `Prompt`, ready to be
run; a `CrewRunner` knows agents and models, and nothing of strategies, ledgers or queues. What
happens meanwhile goes to the `Session`: what is to be seen, and the money of every model call.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from core.costs.facts import NO_FACTS, Facts
from core.costs.model_choices import Choice
from core.costs.usage import Usage
from core.flows.events import Event, shortened

if TYPE_CHECKING:  # what reads crews loads slowly, and few need it; so do budgets
    from core.costs.budget import Refusal
    from core.costs.tenant_prices import TenantPrices
    from core.crews.definition import Definition
    from core.crews.journal import StepJournal

MESSAGE_CHARACTERS = 2_000


class StepKind(StrEnum):
    """What a step is for."""

    TASK = "task"  # a task as it is written, or written again after a person's feedback
    PLAN = "plan"  # a manager's subtasks
    SUBTASK = "subtask"
    AGGREGATE = "aggregate"  # a manager's answer made of its workers', or what it sends back
    PROPOSAL = "proposal"
    VERDICT = "verdict"  # a vote among proposals, or a judge's word


@dataclass(frozen=True, slots=True)
class ContextItem:
    """An earlier answer that an agent is told: whose it is, and its text as the model gave it."""

    title: str
    agent: str
    text: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What one agent is asked for in one step; all texts have their inputs filled in.

    `task` is the task of the crew that the step belongs to: its limits hold, its money is counted
    there. `agent` is a name in the definition. With `output_schema` the answer must be JSON that
    fits it. `guardrails` are names on the deployment's list, or sentences that a model checks.
    """

    step: str
    kind: StepKind
    task: str
    agent: str
    description: str
    expected_output: str
    context: tuple[ContextItem, ...] = ()
    output_schema: dict[str, Any] | None = None
    tools: tuple[str, ...] = ()
    guardrails: tuple[str, ...] = ()

    def answer(self, output: Any) -> Any | None:
        """Return what an output says to the task; None where a manager sends work back instead."""
        if self.kind is not StepKind.AGGREGATE:
            return output
        return None if output.get("send_back") else output["output"]

    def with_answer(self, output: Any, answer: Any) -> Any:
        """Return an output that says something else to the task."""
        return {**output, "output": answer} if self.kind is StepKind.AGGREGATE else answer


@dataclass(frozen=True, slots=True)
class Lesson:
    """What was learnt of earlier flows, as an agent is told it.

    `id` names the memory and the pattern in it, as in `import_mapping-1c2f3a4b/17`; `confidence`, 0 to 1,
    is how often such a lesson was right.
    """

    id: str
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class StepTask:
    """All that running one step takes; `lessons` is what the agent is told of earlier flows.

    `deferrals`: how often the step was put off before. Workers that were stopped do not count.
    `choice` is the model that does the task in this flow; None for the deployment's.
    """

    tenant: str
    flow: str
    definition: "Definition"
    prompt: Prompt
    attempt: int
    inputs: dict[str, Any]
    lessons: tuple[Lesson, ...] = ()
    deferrals: int = 0
    choice: Choice | None = None

    @property
    def names(self) -> tuple[str, str, str]:
        """The crew, task and agent that its calls are counted under."""
        return self.definition.name, self.prompt.task, self.prompt.agent

    def who(self) -> dict[str, str]:
        """Return which step this is, and whose, as events tell it."""
        role = self.definition.agents[self.prompt.agent].role
        return {"step": self.prompt.step, "agent": role}


class StepFailedError(Exception):
    """This try at the step failed for good; the message is for the user, and kept in the state.

    It may hold what a tool or a model said: of a long one the beginning is kept.
    """

    def __init__(self, message: str) -> None:
        super().__init__(shortened(message, MESSAGE_CHARACTERS))


class StepDeferredError(Exception):
    """This try cannot go on now, through no fault of its own: put the step off.

    For what may pass by itself: a provider that asks to come back later, a store that is away, a
    rate that is used up. Costs no attempt and holds no worker meanwhile. `reason` is for the user.

    A step that is put off again and again is put off for longer, and fails in the end; but not by
    what surely passes in that time (`passes`), such as a limit of our own.
    """

    def __init__(self, reason: str, retry_after_seconds: float, *, passes: bool = False) -> None:
        super().__init__(reason)
        self.reason = shortened(reason, MESSAGE_CHARACTERS)
        self.retry_after_seconds = retry_after_seconds
        self.passes = passes


class BudgetExhaustedError(Exception):
    """A budget has no room for the step's next model call: the flow waits until it has."""

    def __init__(self, refusal: "Refusal") -> None:
        super().__init__(f"the budget {refusal.budget} is spent")
        self.refusal = refusal


class ShortOfMoneyError(Exception):
    """A call may cost `headroom_nanodollars` at most by this budget: ask for less, and reserve it again."""

    def __init__(self, headroom_nanodollars: int, budget: str) -> None:
        super().__init__(f"the budget {budget} has not enough money for the whole call")
        self.headroom_nanodollars, self.budget = headroom_nanodollars, budget


class PricesChangedError(Exception):
    """A call was priced by what the tenant's prices were before: price it anew, and reserve it again."""

    def __init__(self, prices: "TenantPrices") -> None:
        super().__init__("the tenant's prices have changed")
        self.prices = prices


class Session(Protocol):
    """Port: where a running step says what happens. For use from any thread; keeps the order.

    Every method raises FencedError when the step is no longer this worker's, and ExpiredError when
    the flow's time is over: let them through. After either, no model call may be begun.

    `journal` is what the agent has heard in earlier claims of the step, and hears in this one.
    """

    journal: "StepJournal"

    def post(self, new_events: list[Event], /) -> None:
        """Take what happened; returns at once."""
        ...

    def message_id(self) -> str:
        """Return an id for a new message: no other message of any flow, attempt or retry has it."""
        ...

    def reserve(
        self,
        model: str,
        bound: Usage,
        *,
        least_nanodollars: int | None = None,
        prices_version: int = 0,
    ) -> str:
        """Hold at most `bound` for a model call; return the call's id.

        Waits for the store, and for money that other calls hold, so not for use in the event loop's
        thread. Only what was reserved may be called; if its worker dies before it says what the call
        cost, the bound is what counts. Raises ShortOfMoneyError where a call of `least_nanodollars`
        would fit, but not this one; PricesChangedError where the tenant's prices are of another version;
        BudgetExhaustedError, StepDeferredError, StepFailedError, UnavailableError.
        """
        ...

    def settle(
        self, call: str, usage: Usage, new_events: list[Event], /, facts: Facts = NO_FACTS
    ) -> None:
        """Say what a reserved call cost, with the events of its answer; returns at once.

        `facts` say what could have been saved on it.
        """
        ...


class CrewRunner(Protocol):
    """Port: runs one step to its result."""

    async def run(self, work: StepTask, session: Session) -> dict[str, Any]:
        """Return `{"output": JSON or text, "raw": text as the model gave it}`.

        When it is cancelled, no further model call is begun. Raises StepFailedError,
        UnavailableError, and what the session raises.
        """
        ...

    def is_at_work(self, tenant: str, flow: str) -> bool:
        """Tell whether anything of the flow goes on although `run` is over: a thread cannot be ended.

        What was cancelled ends after its model call, what took too long when it is done.
        """
        del tenant, flow
        return False


class ToolContext(Protocol):
    """What a tool may reach: the inputs of its own tenant and its user's eye, nothing else."""

    def open(self, input_id: str) -> BinaryIO:
        """Return the bytes of an uploaded input. Raises NotFoundError."""
        ...

    def size(self, input_id: str) -> int:
        """Return how many bytes an uploaded input has. Raises NotFoundError."""
        ...

    def seconds_left(self) -> float:
        """Return how long this call may still take. A tool that works on then does it for nobody."""
        ...

    @property
    def flow(self) -> str:
        """The flow that the call is made for."""
        ...

    @property
    def step(self) -> str:
        """The step in it."""
        ...

    @property
    def attempt(self) -> int:
        """The number of times that the step was begun, this one included."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same each time that the step makes this call, however often it is begun."""
        ...

    def tell(self, insight: str) -> None:
        """Tell the user at once what was found on the way. Raises ValueError if it is too much."""
        ...


Tool = Callable[..., str]  # called as tool(context, **arguments); its docstring tells the model
# Called with the output (JSON, or text where there is no schema) and the inputs of the flow; returns
# what is wrong, for the agent, or None.
Guardrail = Callable[[Any, dict[str, Any]], str | None]
