"""Models: CrewAI's LLM for a provider it knows, or for any OpenAI-compatible address.

What a provider's client repeats on its own is one call to CrewAI, although each of its requests may
be paid for. So clients that can do so are told not to; `model_calls` repeats the call instead.
"""

import logging
import re
from collections.abc import Callable
from typing import Any

from crewai import LLM
from crewai.llms.providers.openai.completion import OpenAICompletion

from core.adapters.crewai.http_client import shared
from core.crews.crew_runner import StepFailedError

log = logging.getLogger(__name__)

# OpenAI's client refuses to start without a key. Local servers want none, and a key that happens
# to be in the environment must not be sent to an address it was not made for.
_NO_KEY = "none"
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")  # in CrewAI's complaint of its absence
_PACKAGE = re.compile(r"crewai\[[a-z-]+\]")
TIMEOUT_SECONDS = 120.0


class UnusableModelError(StepFailedError):
    """The model of the settings cannot be used at all; the message says what is missing."""


def model_from(
    name: str,
    base_url: str | None,
    api_key: str | None,
    timeout_seconds: float = TIMEOUT_SECONDS,
    *,
    streams: bool = False,
) -> Callable[[], LLM]:
    """Return what makes a fresh LLM per step: `provider/model`, or a model's name at `base_url`.

    Without `api_key`, a provider's own variable (OPENAI_API_KEY ...) counts; at a `base_url` none.
    A provider's answers are streamed, with the usage at their end. A server at a `base_url` may
    leave the usage out of a stream, so its answers come whole and no cost is lost, unless it is known
    that it `streams`.
    A provider that is silent for `timeout_seconds` has failed, where its client takes such a limit.
    The LLM is made when it is called for, and raises UnusableModelError then if the provider is
    unknown, or its key or its package is missing.
    """
    settings: dict[str, Any] = {"model": name, "api_key": api_key, "stream": True}
    if base_url:
        settings = {"model": name, "api_key": api_key or _NO_KEY, "base_url": base_url}
        settings |= {"custom_openai": True, "stream": streams}
    limits = {"max_retries": 0, "timeout": timeout_seconds}

    def fresh() -> LLM:
        try:
            llm = _with_client(settings)
            taken = {key: value for key, value in limits.items() if key in type(llm).model_fields}
            if taken.keys() <= settings.keys():
                return llm
            settings.update(taken)  # the first one's client exists already, without these
            return _with_client(settings)
        except (ImportError, ValueError) as error:
            raise UnusableModelError(_lacking(name, str(error))) from None

    return fresh


def checked(fresh: Callable[[], LLM]) -> Callable[[], LLM]:
    """Make one LLM now, so that the log of whoever starts this says what is wrong with the model."""
    try:
        fresh()
    except UnusableModelError as error:
        log.error("no step can run: %s", error)  # noqa: TRY400 -- the traceback says no more
    return fresh


def _with_client(settings: dict[str, Any]) -> LLM:
    """Return an LLM that has its client: without a key, CrewAI puts that off to the first call."""
    llm = LLM(**settings)
    if (client := getattr(llm, "_get_sync_client", None)) is not None:
        client()
    if isinstance(llm, OpenAICompletion):
        llm._client = llm._client.with_options(http_client=shared())  # noqa: SLF001  # pyright: ignore[reportPrivateUsage] -- by its settings CrewAI would hand it to its asynchronous client, too
    return llm


def _lacking(name: str, complaint: str) -> str:
    """Say what a model lacks; CrewAI's complaint is searched for it, and not repeated."""
    if package := _PACKAGE.search(complaint):
        if "LiteLLM" in complaint:
            return f"{name} is of no provider that is installed here; see CREWLINE_MODEL"
        return f"{name} needs the package {package[0]}, which is not installed here"
    if variable := _VARIABLE.search(complaint):
        own = " or CREWLINE_MODEL_API_KEY" if variable[0].endswith("_API_KEY") else ""
        return f"{name} needs {variable[0]}{own}, which the worker was started without"
    return f"{name} cannot be used; see CREWLINE_MODEL"
