"""Bodies as pydantic models. However much of a body is wrong, its error stays small and cheap.

What is wrong is bounded where it is found: of members that a model does not know, only the first few
are handed to it, and its lists stop at their first wrong member (`List`).

The models are strict: of a decision that cannot be taken back, "yes" is not true, and 1 neither.
"""

from itertools import islice
from typing import Annotated, Any, TypeVar, cast

from fastapi import Header
from pydantic import BaseModel, FailFast, ValidationError
from starlette.requests import Request

from core.errors import POINTERS, InvalidInputError
from functions._http import bodies, complaints

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
List = Annotated[list[Item], FailFast()]

IdempotencyKey = Annotated[str | None, Header(pattern=r"^[ -~]{1,255}$")]

LISTED = 1000  # complaints; pydantic makes a dict of each, so of more only the number is told


async def read(request: Request, limit: int, model: type[Model], complaint: str) -> Model:
    """Return the body. Raises InvalidInputError, or HTTPException as `bodies.read_json`."""
    return parse(await bodies.read_json(request, limit), model, complaint)


def parse(value: Any, model: type[Model], complaint: str, *within: str | int) -> Model:
    """Return a value that stands `within` a body as a model. Raises InvalidInputError."""
    try:
        return model.model_validate(_trimmed(value, model))
    except ValidationError as error:
        raise _invalid(complaint, error, within) from None


def _trimmed(body: Any, model: type[BaseModel]) -> Any:
    """Leave out what is unknown, but for as much as an error can name."""
    if not isinstance(body, dict):
        return body
    members = cast("dict[str, Any]", body)
    known = {field.alias or name for name, field in model.model_fields.items()}
    unknown = islice((name for name in members if name not in known), POINTERS)
    kept = [*(name for name in members if name in known), *unknown]
    return {name: members[name] for name in kept}


def _invalid(
    complaint: str, error: ValidationError, within: tuple[str | int, ...]
) -> InvalidInputError:
    if error.error_count() > LISTED:
        return InvalidInputError(f"{complaint}: {error.error_count()} of its values are wrong")
    details = error.errors(include_input=False, include_url=False)
    for detail in details:
        detail["loc"] = (*within, *detail["loc"])
    return complaints.invalid(complaint, details)
