"""What pydantic finds wrong with a body or a parameter, in our own words: which field, and why.

Pydantic's texts speak of Python's types, and some repeat the input.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from core.errors import InvalidInputError

OBJECT = "must be an object"
WHOLE_NUMBER = "must be a whole number"
# By pydantic's type of the error; what stands in braces is of its context.
WORDS: Mapping[str, str] = {
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "string_type": "must be a text",
    "bool_type": "must be true or false",
    "int_type": WHOLE_NUMBER,
    "int_parsing": WHOLE_NUMBER,
    "int_parsing_size": WHOLE_NUMBER,
    "int_from_float": WHOLE_NUMBER,
    "dict_type": OBJECT,
    "model_type": OBJECT,
    "model_attributes_type": OBJECT,
    "list_type": "must be a list",
    "none_required": "must be null",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters at most",
    "too_short": "must have {min_length} members or more",
    "too_long": "must have {max_length} members at most",
    "string_pattern_mismatch": "must match {pattern}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "union_tag_not_found": "must have {discriminator}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "unsupported": "{hint}",  # our own: a member that has no meaning here
}
OTHER = "does not fit"


def invalid(message: str, errors: Iterable[Mapping[str, Any]]) -> InvalidInputError:
    """Return pydantic's errors as one of ours, which says nothing of what the fields held."""
    return InvalidInputError(message, ((_pointer(e["loc"]), _words(e)) for e in errors))


def _words(error: Mapping[str, Any]) -> str:
    return WORDS.get(error["type"], OTHER).format_map(error.get("ctx", {}))


def _pointer(location: Iterable[str | int]) -> str:
    """Return the place as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
