"""Changes of what may be spent or of what calls cost: scripts that also wake what waits for money."""

from core.adapters.upstash.calls import ScriptCall, ScriptRunner
from core.costs.budget import ANOTHER_SCOPE
from core.errors import ConflictError, NotFoundError


async def run_change(
    runner: ScriptRunner, call: ScriptCall, lacking: str, too_many: str
) -> list[str]:
    """Run such a script; return the flows that it woke. Raises NotFoundError, ConflictError."""
    match await runner.run(call):
        case ["not_found"]:
            raise NotFoundError(lacking)
        case ["too_many"]:
            raise ConflictError(too_many)
        case ["another_scope"]:
            raise ConflictError(ANOTHER_SCOPE)
        case [_, woken]:
            return woken
        case reply:
            raise AssertionError(reply)
