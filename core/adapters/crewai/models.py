"""Models: CrewAI's LLM for a provider it knows, or for any OpenAI-compatible address."""

from collections.abc import Callable

from crewai import LLM

# OpenAI's client refuses to start without a key. Local servers want none, and a key that happens
# to be in the environment must not be sent to an address it was not made for.
_NO_KEY = "none"


def model_from(name: str, base_url: str | None, api_key: str | None) -> Callable[[], LLM]:
    """Return what makes a fresh LLM per step: `provider/model`, or a model's name at `base_url`.

    Without `api_key`, a provider's own variable (OPENAI_API_KEY ...) counts; at a `base_url` none.
    A provider's answers are streamed, with the usage at their end. A server at a `base_url` may
    leave the usage out of a stream, so its answers come whole and no cost is lost.
    The LLM is made when it is called for, and raises ImportError then if the provider is unknown
    or has no key.
    """
    if base_url:
        return lambda: LLM(
            model=name, custom_openai=True, base_url=base_url, api_key=api_key or _NO_KEY
        )
    return lambda: LLM(model=name, api_key=api_key, stream=True)
