"""POST /v1/recommendations: which actions fit a context, how sure that is, and which feedback says so."""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from core import bootstrap
from core.identity import Principal
from functions._http import models
from functions._learning.names import Action, Task

if TYPE_CHECKING:  # it loads numpy, which giving feedback does without
    from core.learning.serving import Answer

BODY_BYTES = 512 * 1024
MOST_CANDIDATES = 1000


class QuestionBody(BaseModel):
    """What is asked. Of `candidates` alone, where there are any; `abstain` is told below `precision`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    task: Task
    context: dict[str, Any]
    candidates: Annotated[
        models.List[Action], Field(min_length=1, max_length=MOST_CANDIDATES, default_factory=list)
    ]
    k: Annotated[int, Field(ge=1, le=100)] = 3
    precision: Annotated[float, Field(ge=0, le=1)] = 0.0


async def recommend(request: Request, who: Principal) -> Response:
    """Answer with actions, best first."""
    asked = await models.read(request, BODY_BYTES, QuestionBody, "the body is no question")
    candidates = list(dict.fromkeys(asked.candidates)) or None
    found = await bootstrap.learners().recommend(
        who.tenant, asked.task, asked.context, candidates, asked.k, asked.precision
    )
    return JSONResponse(_public(asked.task, found), headers={"cache-control": "no-store"})


def _public(task: str, found: "Answer") -> dict[str, Any]:
    """Return an answer. No action is surer than the first, which may be less sure than what is left."""
    first = found.actions[0].confidence if found.actions else 0.0
    return {
        "task": task,
        "model": {"version": found.version, "feedback": found.position},
        "degraded": found.degraded or None,
        "abstain": found.abstain,
        "actions": [
            {
                "action": one.action,
                "confidence": round(min(one.confidence, first), 4),
                "patterns": [
                    {"pattern": kept.number, "source": kept.source.kind, "weight": kept.weight}
                    for kept in (found.patterns[number] for number in one.patterns)
                ],
            }
            for one in found.actions
        ],
    }
