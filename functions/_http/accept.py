"""What a client accepts: the weighted lists of Accept and Accept-Encoding (RFC 9110, 12.4.2)."""

import re
from collections.abc import Mapping

FIELD_CHARACTERS = 512  # no more of a field is looked at
WEIGHT = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)


def weights(field: str) -> Mapping[str, float]:
    """Return the weight, from 0 to 1, of each name in a list, in small letters.

    A member with a weight that is none is left out.
    """
    members = [member.split(";") for member in field[:FIELD_CHARACTERS].lower().split(",")]
    weighed = {name.strip(): _weight(parameters) for name, *parameters in members}
    return {name: weight for name, weight in weighed.items() if name and weight is not None}


def _weight(parameters: list[str]) -> float | None:
    for parameter in parameters:
        if parameter.lstrip().startswith("q="):
            match = WEIGHT.fullmatch(parameter)
            return float(match[1]) if match else None
    return 1.0
