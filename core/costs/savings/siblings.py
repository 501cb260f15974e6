"""Siblings: the next smaller model of the same maker, where one may be as good for a simple task."""

import re

# Model -> the next smaller one, as their makers name them.
_SMALLER = {
    "gpt-4o": "gpt-4o-mini",
    "gpt-4.1": "gpt-4.1-mini",
    "gpt-4.1-mini": "gpt-4.1-nano",
    "gpt-4-turbo": "gpt-4o",
    "gpt-4": "gpt-4o",
    "gpt-5": "gpt-5-mini",
    "gpt-5.1": "gpt-5-mini",
    "gpt-5.2": "gpt-5-mini",
    "gpt-5-mini": "gpt-5-nano",
    "o1": "o3",
    "o3": "o4-mini",
    "claude-opus-4-6": "claude-sonnet-4-5",
    "claude-opus-4-5": "claude-sonnet-4-5",
    "claude-opus-4-1": "claude-sonnet-4-5",
    "claude-opus-4": "claude-sonnet-4-5",
    "claude-sonnet-4-5": "claude-haiku-4-5",
    "claude-sonnet-4": "claude-haiku-4-5",
    "gemini-2.5-pro": "gemini-2.5-flash",
    "gemini-2.5-flash": "gemini-2.5-flash-lite",
    "mistral-large": "mistral-small",
    "mistral-medium": "mistral-small",
    "deepseek-reasoner": "deepseek-chat",
}
_DATED = re.compile(r"(?P<model>.+?)(?:-latest|[-@]20\d{2}-?\d{2}-?\d{2}|-\d{4})?")


def smaller(model: str) -> str | None:
    """Return the next smaller model under the same provider's prefix; None where none is known."""
    prefix, slash, name = model.rpartition("/")
    dated = _DATED.fullmatch(name.lower())
    found = _SMALLER.get(dated["model"]) if dated else None
    if found is None:
        return None
    latest = "-latest" if found.startswith("mistral") else ""
    return f"{prefix}{slash}{found}{latest}"
