"""The stop signal: tells all threads of a running step that it must end, and why."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Event

from core.adapters.crewai.failures import explain
from core.crews.crew_runner import StepDeferredError, StepFailedError


class StopSignal:
    """Thread-safe stop flag of one running step; holds the first error that must end it.

    CrewAI swallows some of what tools, hooks and sinks raise. So that error is kept in `stopped`,
    and whoever comes next raises it again.
    """

    def __init__(self) -> None:
        self.stopped: Exception | None = None
        self._halt = Event()

    def stop(self, error: Exception) -> None:
        """End the step with `error`; wakes whoever pauses."""
        self.stopped = self.stopped or error
        self._halt.set()

    def pause(self, seconds: float) -> None:
        """Wait. Raises what stopped the step meanwhile, at once."""
        self._halt.wait(seconds)
        self.raise_if_stopped()

    def raise_if_stopped(self) -> None:
        """Raise what must end the step."""
        if self.stopped is not None:
            raise self.stopped

    @contextmanager
    def stop_on_error(self) -> Generator[None]:
        """Have whatever is raised in here end the step, even where CrewAI swallows it."""
        try:
            yield
        except Exception as error:
            self.stop(error)
            raise

    @contextmanager
    def translating_errors(self) -> Generator[None]:
        """Raise what stopped the step, or StepFailedError in place of what CrewAI raises."""
        try:
            yield
        except (StepFailedError, StepDeferredError):
            raise
        except (Exception, SystemExit) as error:  # CrewAI exits when a prompt is too long
            self.raise_if_stopped()
            raise StepFailedError(explain(error)) from error
