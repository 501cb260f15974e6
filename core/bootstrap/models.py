"""Models, by the settings, and who is told of their calls."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from core.bootstrap.provider import provider
from core.bootstrap.stores import settings

if TYPE_CHECKING:
    from crewai.llms.base_llm import BaseLLM

    from core.crews.begin_trial import DeployedModels
    from core.crews.telemetry import CallTelemetry


def may_choose(name: str) -> bool:
    """Tell whether tenants may choose a model: it is asked with the deployment's keys.

    A host that is told of no model cannot tell; the worker can.
    """
    from core.costs.model_names import counted_name

    chosen = settings()
    if chosen.models:
        return counted_name(name) in map(counted_name, chosen.models)
    return chosen.model is None or chosen.model_base_url is not None or _is_of_ours(name)


def is_offline() -> bool:
    """Tell whether the settings name the offline model, which does all tasks itself."""
    return settings().model is None and settings().offline_model


def _is_of_ours(name: str) -> bool:
    """Tell whether a model is of the provider of the deployment's model."""
    from core.costs.model_names import split_name

    provider = split_name(name).provider
    return provider != "" and provider == split_name(settings().model or "").provider


def spelled(name: str) -> str:
    """Return a model's name as this deployment writes it: the counted one may not be what a client calls it.

    As in CREWLINE_MODELS, or with the provider's prefix of CREWLINE_MODEL (`xai/` for `x-ai/`).
    """
    from core.costs.model_names import counted_name

    chosen = settings()
    for listed in sorted(chosen.models or (), key=lambda each: each != name):
        if counted_name(listed) == counted_name(name):
            return listed
    prefix, slash, _ = (chosen.model or "").partition("/")
    ours = f"{prefix}/{name.partition('/')[2]}"
    return ours if slash and name == counted_name(name) == counted_name(ours) else name


def model_names() -> set[str]:
    """Return the models that the settings name, by the names that their calls are counted under."""
    named = settings().model, *(settings().models or ())
    return {_counted(name) for name in named if name}


def deployed_model() -> str | None:
    """Return the model that does tasks of which tenants chose none, by the name its calls are counted under.

    None on a host that is told of no model.
    """
    from core.costs.prices import OFFLINE_MODEL

    model = OFFLINE_MODEL if is_offline() else settings().model
    return None if model is None else _counted(model)


def deployed_models() -> "DeployedModels":
    """Return the models of this deployment, as trials compare them."""
    from core.crews.begin_trial import DeployedModels

    return DeployedModels(settings().model, may_choose, _counted)


def _counted(name: str) -> str:
    """Return the name that calls of a model are counted under; at an address of their own all are OpenAI's."""
    from core.costs.model_names import counted_name

    at_address = settings().model_base_url is not None and not name.startswith("openai/")
    return counted_name(f"openai/{name}" if at_address else name)


def named_model(name: str) -> "BaseLLM":
    """Return a fresh LLM of a model that a tenant chose for a task. Raises UnusableModelError.

    The key of the settings is for its own provider; any other has its own variable.
    """
    from core.adapters.crewai.models import UnusableModelError, model_from

    if not may_choose(name):
        raise UnusableModelError(f"{name} is no model that tenants may choose; see CREWLINE_MODELS")
    chosen = settings()
    is_ours = chosen.model_base_url is not None or _is_of_ours(name)
    return model_from(
        name,
        chosen.model_base_url,
        chosen.model_api_key if is_ours else None,
        chosen.model_timeout_seconds,
        streams=chosen.model_streams,
    )()


def require_model() -> None:
    """Raise SettingsError where the settings name no model, nor the offline one."""
    from core.config import SettingsError

    if settings().model is None and not settings().offline_model:
        raise SettingsError(
            "CREWLINE_MODEL is not set: name a model, or write offline for the one that is made up"
        )


def model() -> "Callable[[], BaseLLM]":
    """Return what makes a model for each step: the one of the settings, or the offline one."""
    require_model()
    chosen = settings()
    if chosen.model is None:
        from core.adapters.offline.model import OfflineModel
        from crews.tools import SKILLS

        return lambda: OfflineModel(SKILLS, stream=True)
    from core.adapters.crewai.models import checked, model_from

    return checked(
        model_from(
            chosen.model,
            chosen.model_base_url,
            chosen.model_api_key,
            chosen.model_timeout_seconds,
            streams=chosen.model_streams,
        )
    )


@provider
def telemetry() -> "CallTelemetry | None":
    """Return what is told of model calls; None unless the settings want it. Raises SettingsError."""
    from core.config import SettingsError

    if not settings().otel:
        return None
    os.environ.setdefault("OTEL_SDK_DISABLED", "false")
    try:
        from core.adapters.otel import over_otlp
    except ImportError as error:
        raise SettingsError(
            "CREWLINE_OTEL needs its packages: uv sync --frozen --extra otel"
        ) from error
    return over_otlp()
