"""Crews for tests of the strategies: short to write, and drawn at random for what always holds."""

from typing import Any

from hypothesis import strategies as st

from core.crews.definition import Definition

AGENTS = ("ana", "ben", "cleo", "dan")


def agent(**changes: Any) -> dict[str, Any]:
    return {"goal": "Work", "backstory": "Worked"} | changes


def task(**changes: Any) -> dict[str, Any]:
    return {"description": "Do it", "expected_output": "It is done"} | changes


def crew(**parts: Any) -> Definition:
    """A crew; an agent's role is its name."""
    given = {"name": "crew", "description": "A crew", "process": "sequential"} | parts
    agents = given.get("agents", {"ana": agent()})
    given["agents"] = {name: {"role": name.title(), **each} for name, each in agents.items()}
    return Definition.model_validate(given)


@st.composite
def crews(draw: st.DrawFn) -> Definition:
    """Any crew of one to four tasks."""
    process = draw(st.sampled_from(["sequential", "hierarchical", "consensus"]))
    tasks = dict[str, Any]()
    for name in ("one", "two", "three", "four")[: draw(st.integers(1, 4))]:
        earlier = st.lists(st.sampled_from(list(tasks) or ["-"]), unique=True)
        context = draw(st.none() | earlier) if tasks else None
        tasks[name] = task(context=context, human_input=draw(st.integers(0, 3)) == 0)
        if process == "sequential":
            tasks[name] |= {"agent": "ana", "async_execution": draw(st.booleans())}
    tasks[name]["async_execution"] = False
    parts = {"hierarchical": _managed, "consensus": _agreeing}.get(process, _alone)(draw)
    return crew(process=process, agents={name: agent() for name in AGENTS}, tasks=tasks, **parts)


def _alone(_: st.DrawFn) -> dict[str, Any]:
    return {}


def _managed(draw: st.DrawFn) -> dict[str, Any]:
    limits = {"max_subtasks": draw(st.integers(1, 4)), "max_rejections": draw(st.integers(0, 3))}
    return {"manager": "ana", "limits": limits}


def _agreeing(draw: st.DrawFn) -> dict[str, Any]:
    judge = draw(st.sampled_from([None, "dan"]))
    rules = {
        "agents": ["ana", "ben", "cleo"][: draw(st.integers(2, 3))],
        "judge": judge,
        "threshold": draw(st.sampled_from([0.3, 0.5, 0.66, 1.0])),
        "max_rounds": draw(st.integers(1, 3)),
        "tie": draw(st.sampled_from(["first", "judge"])) if judge else "first",
    }
    return {"consensus": rules}
