"""Models: CrewAI's LLM for a provider it knows, or for any OpenAI-compatible address.

What a provider's client repeats on its own is one call to CrewAI, although each of its requests may
be paid for. So clients that can do so are told not to, and `with_retries` repeats the call instead: each
time it is a call of its own, with money of its own.
"""

from collections.abc import Callable
from typing import Any

from crewai import LLM, BaseLLM

from core.adapters.crewai.failures import is_transient

# OpenAI's client refuses to start without a key. Local servers want none, and a key that happens
# to be in the environment must not be sent to an address it was not made for.
_NO_KEY = "none"
_PAUSES_SECONDS = (0.5, 2.0)  # before a call that failed is made again


def model_from(name: str, base_url: str | None, api_key: str | None) -> Callable[[], LLM]:
    """Return what makes a fresh LLM per step: `provider/model`, or a model's name at `base_url`.

    Without `api_key`, a provider's own variable (OPENAI_API_KEY ...) counts; at a `base_url` none.
    A provider's answers are streamed, with the usage at their end. A server at a `base_url` may
    leave the usage out of a stream, so its answers come whole and no cost is lost.
    The LLM is made when it is called for, and raises ImportError then if the provider is unknown
    or has no key.
    """
    settings: dict[str, Any] = {"model": name, "api_key": api_key, "stream": True}
    if base_url:
        settings = {"model": name, "api_key": api_key or _NO_KEY, "base_url": base_url}
        settings["custom_openai"] = True

    def fresh() -> LLM:
        llm = LLM(**settings)
        if getattr(llm, "max_retries", 0):  # its client exists already, and would repeat calls
            settings["max_retries"] = 0
            llm = LLM(**settings)
        return llm

    return fresh


def with_retries(llm: BaseLLM, pause: Callable[[float], None]) -> BaseLLM:
    """Have the LLM make a call again, twice at most, that its provider could not answer just now.

    `pause` waits for so many seconds, and raises if there is no point in waiting.
    """
    once = llm.call

    def call(*args: Any, **kwargs: Any) -> Any:
        for seconds in _PAUSES_SECONDS:
            try:
                return once(*args, **kwargs)
            except Exception as error:
                if not is_transient(error):
                    raise
            pause(seconds)
        return once(*args, **kwargs)

    # An LLM is a pydantic model, which takes no attribute that is not a field of it.
    object.__setattr__(llm, "call", call)
    return llm
