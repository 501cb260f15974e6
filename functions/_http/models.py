"""Bodies as pydantic models. However much of a body is wrong, its error stays small and cheap.

What is wrong is bounded where it is found: of members that a model does not know, only the first few
are handed to it, and its lists stop at their first wrong member (`List`).

The models are strict: of a decision that cannot be taken back, "yes" is not true, and 1 neither.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import AfterValidator, BaseModel, FailFast, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError
from starlette.requests import Request

from core import complaints
from core.errors import POINTERS, InvalidInputError
from core.identity import SUBJECT, SUBJECT_RULE
from functions._http import bodies

Model = TypeVar("Model", bound=BaseModel)
Item = TypeVar("Item")
List = Annotated[list[Item], FailFast()]


def _checked_subject(name: str) -> str:
    if not SUBJECT.fullmatch(name):
        raise PydanticCustomError("unsupported", "{hint}", {"hint": SUBJECT_RULE})
    return name


Subject = Annotated[str, AfterValidator(_checked_subject)]

LISTED = 1000  # complaints; pydantic makes a dict of each, so of more only the number is told


async def read(request: Request, limit: int, model: type[Model], complaint: str) -> Model:
    """Return the body. Raises InvalidInputError, or HTTPException as `bodies.read_json`."""
    return parse(await bodies.read_json(request, limit), model, complaint)


def parse(value: Any, model: type[Model], complaint: str, *within: str | int) -> Model:
    """Return a value that stands `within` a body as a model. Raises InvalidInputError."""
    try:
        return model.model_validate(_trimmed(value, model))
    except ValidationError as error:
        raise _invalid(complaint, error, model, within) from None


def _trimmed(body: Any, model: type[BaseModel]) -> Any:
    """Leave out what is unknown, but for as much as an error can name."""
    if not isinstance(body, dict):
        return body
    members = cast("dict[str, Any]", body)
    known = set(_members(model))
    unknown = islice((name for name in members if name not in known), POINTERS)
    kept = [*(name for name in members if name in known), *unknown]
    return {name: members[name] for name in kept}


def _invalid(
    complaint: str, error: ValidationError, model: type[BaseModel], within: tuple[str | int, ...]
) -> InvalidInputError:
    if error.error_count() > LISTED:
        return InvalidInputError(f"{complaint}: {error.error_count()} of its values are wrong")
    details = error.errors(include_input=False, include_url=False)
    return complaints.invalid(complaint, (_placed(detail, model, within) for detail in details))


def _placed(
    detail: ErrorDetails, model: type[BaseModel], within: tuple[str | int, ...]
) -> dict[str, Any]:
    """Return an error with its place in the whole body, and what is there if a member is unknown."""
    placed: dict[str, Any] = {**detail, "loc": (*within, *detail["loc"])}
    if detail["type"] == "extra_forbidden":
        placed["there"] = _there(model, detail["loc"][:-1])
    return placed


def _there(kind: Any, place: Sequence[str | int]) -> list[str]:
    """Return the members of the object at a place in a value of this type."""
    kinds = list(_models(kind))
    if not place:
        fields = (pair for each in kinds for pair in _members(each).items())
        return [str(name) for name, field in fields if field.annotation is not type(None)]
    step, *rest = place
    for each in kinds:
        if field := _members(each).get(step):
            return _there(field.annotation, rest)
        if any(step in get_args(field.annotation) for field in _members(each).values()):
            return _there(each, rest)  # the step is the tag of a union
    return _there(kind, rest)  # the step is a number in a list


def _models(kind: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type is made of."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
    for part in get_args(kind):
        yield from _models(part)


def _members(model: type[BaseModel]) -> dict[str | int, FieldInfo]:
    """Return a model's fields by the names that they have in JSON."""
    return {field.alias or name: field for name, field in model.model_fields.items()}
