"""What pydantic finds wrong with a body, a parameter or a crew's file, in our own words.

Pydantic's texts speak of Python's types, and some repeat the input.
"""

from collections.abc import Collection, Iterable, Mapping
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
    "float_type": "must be a number",
    "none_required": "must be null",
    "string_too_short": "must have {min_length} characters or more",
    "string_too_long": "must have {max_length} characters at most",
    "too_short": "must have {min_length} members or more",
    "too_long": "must have {max_length} members at most",
    "string_pattern_mismatch": "must match {pattern}",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "union_tag_not_found": "must have {discriminator}",
    "union_tag_invalid": "{discriminator} must be one of {expected_tags}",
    "unsupported": "{hint}",  # our own: a member that has no meaning here
}
OTHER = "does not fit"


def invalid(message: str, errors: Iterable[Mapping[str, Any]]) -> InvalidInputError:
    """Return pydantic's errors as one of ours, which says nothing of what the fields held."""
    return InvalidInputError(message, ((_pointer(e["loc"]), words(e)) for e in errors))


def words(error: Mapping[str, Any]) -> str:
    """Return what is wrong; of a member that is unknown, with those that are `there`."""
    if "there" in error:
        return f"is unknown; {choice(error['loc'][-1], error['there'])}"
    if error.get("ctx", {}).get("min_length") == 1:
        return "must not be empty"
    return WORDS.get(error["type"], OTHER).format_map(error.get("ctx", {}))


def choice(name: object, there: Collection[str]) -> str:
    """Return which of what is there may have been meant by a name that is not, and all there is."""
    from difflib import get_close_matches  # noqa: PLC0415 -- takes 5 ms of a cold start

    close = get_close_matches(str(name)[:64], there, 1)
    listed = f"here are: {', '.join(there) or 'none'}"
    return f"did you mean {close[0]}? T{listed}" if close else f"t{listed}"


def _pointer(location: Iterable[str | int]) -> str:
    """Return the place as a JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)
