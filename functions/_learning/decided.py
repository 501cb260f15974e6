"""Thumbs on what a crew decides: feedback in the very contexts in which its agents are told lessons.

Each decision of a flow is known by what it is about, such as a column; "" is the flow's whole result.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core import bootstrap
from core.crews.definition import Definition, StoredDefinitionError
from core.crews.lessons import Made
from core.errors import InvalidInputError, UnavailableError
from core.flows.state import Flow
from core.identity import Principal
from core.learning.feedback import Feedback

if TYPE_CHECKING:
    from functions._learning.feedback import ThumbBody

WHOLE = ""
REFUSED = "the thumb is refused"
LACKING = "this deployment of the feedback function lacks the dependency group crew"


async def decisions(tenant: str, state: Flow, output: Any) -> Sequence[Made]:
    """Return what a flow has decided; nothing where its crew decides nothing.

    Raises UnavailableError, also where the code of the crew lacks a library here.
    """
    if not state.definition.get("decides"):
        return ()
    try:
        crew = Definition.from_stored(state.definition)
        whole = await bootstrap.values().whole(tenant, state)
        return await bootstrap.lessons().made(whole, crew, output)
    except StoredDefinitionError:
        return ()
    except ImportError as error:
        raise UnavailableError(LACKING) from error


def feedback(
    who: Principal, asked: "ThumbBody", made: Sequence[Made], new_id: str
) -> list[tuple[str, Feedback]]:
    """Return what a thumb says of decisions. Raises InvalidInputError for one that was not made."""
    name = asked.id or new_id
    about = asked.column if asked.column is not None else WHOLE
    if asked.correction is not None and asked.thumb == "up":
        raise InvalidInputError(REFUSED, {"/correction": "is for a thumb down"})
    chosen = [each for each in made if each.about == about]
    if not chosen and asked.column is None and asked.thumb == "up":
        return [
            (each.task, Feedback(f"{name}:{number}", each.context, each.action, who.subject))
            for number, each in enumerate(made)
            if each.teaches
        ]
    if not chosen:
        raise InvalidInputError(REFUSED, {"/column": "say of which, or thumb: up"})
    return [(chosen[0].task, _of(who, asked, chosen[0], name))]


def _of(who: Principal, asked: "ThumbBody", made: Made, name: str) -> Feedback:
    """Return what is said of one decision. A thumb down on one of two says that the other is right."""
    action = asked.correction or made.action
    if action not in made.candidates:
        raise InvalidInputError(REFUSED, {"/correction": f"is none of {list(made.candidates)}"})
    right = asked.thumb == "up" or asked.correction is not None
    others = [each for each in made.candidates if each != made.action]
    if not right and len(others) == 1:
        action, right = others[0], True
    return Feedback(name, made.context, action, who.subject, right)
